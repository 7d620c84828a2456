"""What everyone may see of a published video: its focuses without the reasons, and the products without the shop.

Nothing here is for a token: no name of a reviewer, no score, no source of a stream, no product that is not shown or
recommended. A video that is not published is treated as one that is not there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shopcue.database.events import last_event_id
from shopcue.database.focuses import focus_fields, list_focuses
from shopcue.database.tables import Event, Focus, Video
from shopcue.database.videos import LIVE_STATES, get_video
from shopcue.errors import Missing, ShopcueError
from shopcue.records import Product
from shopcue.server.live import Message, event_fields
from shopcue.server.recent import Recent
from shopcue.server.schemas.public import PublicFocus, PublicProduct, PublicVideo
from shopcue.server.security import web_origin
from shopcue.server.services import Services
from shopcue.server.views import has_poster
from shopcue.sources.recordings import PLAYLIST

RELATED: Final = 12
"""How many other products of the shop are recommended."""

PUBLIC_TYPES: Final = frozenset(
    ("focus.open", "focus.update", "focus.close", "focus.revise", "focus.review", "focuses.put")
) | {"video.update", "stream.update"}
_GONE: Final = ("rejected", "withdrawn")
_DOCUMENTS: Final = 50
_RECOMMENDATIONS: Final = 500
_KINDS: Final = 4


def published_video(session: Session, video_id: str) -> Video:
    """Return a video that everyone may see; raises Missing for all others."""
    video = get_video(session, video_id)
    if not video.published:
        raise Missing(f"there is no video {video_id[:80]!r}")
    return video


def is_live(kind: str, state: str) -> bool:
    """Return whether a video is a stream that is on."""
    return kind == "stream" and state in LIVE_STATES


def plays_from_recording(kind: str, playback_url: str | None) -> bool:
    """Return whether a video is a stream that viewers see in what is kept of it: the seller named no other place."""
    return kind == "stream" and not web_address(playback_url)


# ---- addresses --------------------------------------------------------------------------------------------------


def api_address(video_id: str) -> str:
    """Return where the public document of a video is."""
    return f"/api/public/videos/{quote(video_id, safe='')}"


def page_address(video_id: str) -> str:
    """Return where the page of a video is."""
    return f"/play/{quote(video_id, safe='')}"


def web_address(link: str | None) -> str:
    """Return a stranger's link if it is an http(s) address, else an empty text."""
    return link if link and web_origin(link) else ""


# ---- products ---------------------------------------------------------------------------------------------------


def product_card(video_id: str, product: Product) -> PublicProduct:
    """Return a product as a shopper sees it beside a video; one without pictures has none to show."""
    picture = f"{api_address(video_id)}/products/{quote(product.product_id, safe='')}/picture"
    return PublicProduct(
        product_id=product.product_id,
        title=product.title or product.product_id,
        price=product.price,
        link=web_address(product.link),
        brand=product.brand,
        availability=product.availability,
        picture=picture if product.images else "",
    )


def find_products(parts: Services, shop: str, product_ids: Iterable[str]) -> dict[str, Product]:
    """Return those of the products that the shop has, by id and in the order asked for; without descriptions."""
    snapshot = parts.store.snapshot(shop)
    wanted = [each for each in dict.fromkeys(product_ids) if each in snapshot.index]
    if not wanted:
        return {}
    rows = snapshot.products.take([snapshot.index[each] for each in wanted]).to_pylist()
    names = ("product_id", "title", "category", "price", "link", "brand", "availability")
    return {row["product_id"]: Product(images=(row["image"],), **{name: row[name] for name in names}) for row in rows}


def _related(parts: Services, shop: str, shown: Sequence[Product]) -> tuple[Product, ...]:
    """Return other products of the shop: of the categories and then the brands that are shown most, then any."""
    found: dict[str, Product] = {}
    but = {product.product_id for product in shown}
    filters: list[dict[str, str]] = []
    for name in ("category", "brand"):
        counts = Counter(text for product in shown if (text := getattr(product, name)))
        filters += [{name: text} for text, _ in counts.most_common(_KINDS)]
    for wanted in (*filters, {}):
        page = parts.store.products(shop, but=but | found.keys(), limit=RELATED - len(found), **wanted)
        found.update({product.product_id: product for product in page.products})
        if len(found) >= RELATED:
            break
    return tuple(found.values())


# ---- the video --------------------------------------------------------------------------------------------------


class Showcase:
    """Puts together what everyone may see; remembers what it made lately until that changes. For many threads."""

    def __init__(self, parts: Services) -> None:
        self._parts = parts
        self._documents: Recent[PublicVideo] = Recent(_DOCUMENTS)
        self._related: Recent[tuple[Product, ...]] = Recent(_RECOMMENDATIONS)

    def document(self, video_id: str) -> PublicVideo:
        """Return the public document of a video; raises Missing."""
        with self._parts.database.read() as session:
            video = published_video(session, video_id)
            files = self._media(video_id, video.kind, video.playback_url), has_poster(self._parts, video)
            last = last_event_id(session)
            # Nothing of a video or a catalogue changes without an event or a new version.
            changed = session.scalar(select(func.max(Event.event_id)).where(Event.video_id == video_id))
            key = (video_id, changed, self._parts.store.version(video.shop), files)
            document = self._documents.get(key) if changed else None
            focuses = list_focuses(session, video_id) if document is None else []
        if document is None:
            document = self._make_document(video, focuses, *files)
            if changed:  # else they were dropped, and the next change cannot be told from this one
                self._documents.put(key, document)
        return document.model_copy(update={"last_event_id": last})

    def _make_document(self, video: Video, focuses: Sequence[Focus], media: str | None, poster: bool) -> PublicVideo:
        video_id = video.video_id
        shown = self._shown(video.shop, {focus.product_id: focus.title for focus in focuses})
        names = ("video_id", "shop", "title", "state", "duration_s", "width", "height")
        return PublicVideo.model_validate(
            {
                **{name: getattr(video, name) for name in names},
                "live": is_live(video.kind, video.state),
                "media": media,
                "playback_url": web_address(video.playback_url) or None,
                "poster": f"{api_address(video_id)}/poster" if poster else None,
                "page": page_address(video_id),
                "products": {product.product_id: product_card(video_id, product) for product in shown},
                "focuses": [_focus(focus_fields(focus)) for focus in focuses],
                "related": [product_card(video_id, product) for product in self._recommended(video.shop, shown)],
                "last_event_id": 0,
            }
        )

    def _media(self, video_id: str, kind: str, playback_url: str | None) -> str | None:
        """Return where a video plays from here, if it does."""
        if self._parts.settings.media_file(video_id) is not None:
            return f"{api_address(video_id)}/media"
        if plays_from_recording(kind, playback_url) and self._parts.recordings.exists(video_id):
            return f"{api_address(video_id)}/recording/{PLAYLIST}"
        return None

    def check_product(self, session: Session, video: Video, product_id: str) -> None:
        """Raise Missing unless a product is shown in a video or recommended beside it."""
        shown = (Focus.video_id == video.video_id, Focus.status != "rejected")
        if session.scalar(select(Focus.focus_id).where(*shown, Focus.product_id == product_id).limit(1)):
            return
        titles = dict.fromkeys(session.scalars(select(Focus.product_id).where(*shown).distinct()), "")
        recommended = self._recommended(video.shop, self._shown(video.shop, titles))
        if all(product.product_id != product_id for product in recommended):
            raise Missing(f"there is no product {product_id[:80]!r} in this video")

    def message(self, event: Event) -> Message | None:
        """Return what followers of a published video are told of an event, as `live.Form` has it."""
        if event.type not in PUBLIC_TYPES or event.video_id is None:
            return None
        data, ends = event.data, False
        if event.type in ("video.update", "stream.update"):
            ends = bool(data.get("deleted")) or not data.get("published")
            told = {"video_id": event.video_id, "published": False} if ends else self._video_news(data)
        elif event.type == "focuses.put":
            told = {"count": data.get("count", 0)}
        else:
            told = self._focus_news(event)
        return Message.of({**event_fields(event), "data": told}, ends=ends)

    def _video_news(self, data: Mapping[str, Any]) -> dict[str, Any]:
        names = ("video_id", "title", "state", "duration_s", "width", "height", "published")
        kind, playback_url = str(data.get("kind")), data.get("playback_url")
        return {
            **{name: data.get(name) for name in names},
            "live": is_live(kind, str(data.get("state"))),
            "media": self._media(str(data.get("video_id")), kind, playback_url),
            "playback_url": web_address(playback_url) or None,
        }

    def _focus_news(self, event: Event) -> dict[str, Any]:
        focus, title = _focus(event.data), event.data.get("title", "")
        try:
            product = self._shown(event.shop, {focus.product_id: title})[0]
        except ShopcueError:  # an event is told, also while the catalogue cannot be read
            product = Product(focus.product_id, title, ())
        card = None if focus.status == "rejected" else product_card(str(event.video_id), product).model_dump()
        return {**focus.model_dump(), "video_id": event.video_id, "product": card}

    def _shown(self, shop: str, titles: Mapping[str, str]) -> list[Product]:
        """Return products by their ids; one that the shop has no longer keeps its id and title alone."""
        known = find_products(self._parts, shop, titles)
        return [known.get(each) or Product(each, title, ()) for each, title in titles.items()]

    def _recommended(self, shop: str, shown: Sequence[Product]) -> tuple[Product, ...]:
        key = (shop, self._parts.store.version(shop), frozenset(product.product_id for product in shown))
        found = self._related.get(key)
        if found is None:
            found = _related(self._parts, shop, shown)
            self._related.put(key, found)
        return found


def _focus(fields: Mapping[str, Any]) -> PublicFocus:
    """Return what everyone may know of a focus, from the fields that events say."""
    gone = fields["status"] in _GONE
    status = "rejected" if gone else "open" if fields["end_s"] is None else "found"
    names = ("focus_id", "product_id", "start_s", "end_s")
    return PublicFocus.model_validate({**{name: fields[name] for name in names}, "status": status})
