"""Rows of the database as the API shows them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from urllib.parse import quote

from sqlalchemy import select
from sqlalchemy.orm import Session

from shopcue import records
from shopcue.database import jobs, videos
from shopcue.database.tables import Job as JobRow
from shopcue.database.tables import Video as VideoRow
from shopcue.server.schemas import FocusCounts, Job, Product, Showing, Video
from shopcue.server.services import Services


def view_job(row: JobRow) -> Job:
    """Return a job as the API shows it."""
    return Job.model_validate(jobs.job_fields(row))


def view_videos(parts: Services, session: Session, rows: Sequence[VideoRow]) -> list[Video]:
    """Return videos with their newest jobs and the state of their review, all asked for at once."""
    ids = [row.video_id for row in rows]
    newest, counts = jobs.latest_jobs(session, ids), videos.count_focuses(session, ids)
    return [_view_video(parts, row, newest.get(row.video_id), counts[row.video_id]) for row in rows]


def _view_video(parts: Services, row: VideoRow, job: JobRow | None, counts: videos.FocusCounts) -> Video:
    place = f"/api/videos/{row.video_id}"
    media, poster = parts.settings.media_file(row.video_id), has_poster(parts, row)
    more = {
        "wanted": row.wanted,
        "job": None if job is None else view_job(job),
        "focuses": FocusCounts.model_validate(counts),
        "media": f"{place}/media" if media else None,
        "poster": f"{place}/poster" if poster else None,
    }
    return Video.model_validate(videos.video_fields(row) | more)


def has_poster(parts: Services, row: VideoRow) -> bool:
    """Tell whether there is a picture that stands for a video, or one can be made."""
    kept = row.kind == "stream" and parts.recordings.exists(row.video_id)
    return kept or parts.settings.poster_file(row.video_id).exists()


def video_titles(session: Session, video_ids: Collection[str]) -> dict[str, str]:
    """Return video_id -> title."""
    query = select(VideoRow.video_id, VideoRow.title).where(VideoRow.video_id.in_(video_ids))
    return {str(video_id): str(title) for video_id, title in session.execute(query)}


def picture_address(shop: str, product_id: str, position: int = 0) -> str:
    """Return where a picture of a product is."""
    return f"/api/shops/{shop}/products/{quote(product_id, safe='')}/pictures/{position}"


def view_product(shop: str, product: records.Product, shown: Sequence[Showing]) -> Product:
    """Return a product with the moments at which it is on screen."""
    return Product(
        product_id=product.product_id,
        title=product.title,
        description=product.description,
        category=product.category,
        price=product.price,
        link=product.link,
        brand=product.brand,
        availability=product.availability,
        images=len(product.images),
        picture=picture_address(shop, product.product_id) if product.images else None,
        shown_at=list(shown),
    )
