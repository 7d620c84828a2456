"""The trace of a video: tracklets, picks and candidates, minute by minute."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query

from shopcue.database.focuses import list_focuses
from shopcue.database.tables import Focus
from shopcue.server.auth import Parts, SignedIn, readable_video
from shopcue.server.problems import READS
from shopcue.server.schemas.shapes import Identity, Seconds
from shopcue.server.schemas.trace import Trace
from shopcue.trace import MINUTE_S

router = APIRouter(tags=["trace"])

_LOG = logging.getLogger(__name__)
_MOST_S: Final = 120.0
_SIDE_PX: Final = 320


@router.get("/api/videos/{video_id}/trace", responses=READS)
def show(
    video_id: Identity,
    who: SignedIn,
    parts: Parts,
    start_s: Annotated[Seconds, Query()] = 0.0,
    end_s: Annotated[Seconds | None, Query(description="A minute after start_s if left out.")] = None,
) -> Trace:
    """Show why a stretch of a video was matched as it was, two minutes at most.

    Empty where nothing was looked at (yet), and for a video that was matched by whole frames: nothing is followed then.
    """
    end_s = min(start_s + MINUTE_S if end_s is None else max(end_s, start_s), start_s + _MOST_S)
    with parts.database.read() as session:
        video = readable_video(session, who, video_id)
        focuses = [each for each in list_focuses(session, video_id) if each.is_open or each.end_s > start_s]
    minutes = _read_minutes(parts.settings.video_folder(video_id) / "trace", start_s, end_s)
    found: dict[str, list[dict[str, Any]]] = {
        name: sorted(
            (each for minute in minutes for each in minute[name] if start_s <= each["time_s"] < end_s),
            key=lambda each: float(each["time_s"]),
        )
        for name in ("moments", "picks")
    }
    size = next((minute for minute in minutes if minute["width"]), {"width": video.width, "height": video.height})
    return Trace.model_validate(
        {
            "start_s": start_s,
            "end_s": end_s,
            "width": size["width"],
            "height": size["height"],
            "moments": [{**each, "showing": _showing(focuses, each["time_s"])} for each in found["moments"]],
            "picks": [{**each, "crop": _crop(video_id, each)} for each in found["picks"]],
        }
    )


def _read_minutes(folder: Path, start_s: float, end_s: float) -> list[dict[str, Any]]:
    """Return the minutes of a trace that a stretch touches, those that are there."""
    minutes = []
    number = int(start_s // MINUTE_S)
    while number * MINUTE_S < end_s:
        try:
            minutes.append(json.loads(gzip.decompress((folder / f"{number}.json.gz").read_bytes())))
        except FileNotFoundError:
            pass  # nothing was looked at in that minute
        except (OSError, EOFError, ValueError):
            _LOG.warning("minute %s of the trace in %s cannot be read", number, folder)
        number += 1
    return minutes


def _showing(focuses: Sequence[Focus], time_s: float) -> str | None:
    """Return the product that is on screen, of several the one that came last."""
    on = [each for each in focuses if each.start_s <= time_s and (each.is_open or time_s < each.end_s)]
    return max(on, key=lambda each: each.start_s).product_id if on else None


def _crop(video_id: str, pick: dict[str, Any]) -> str:
    box = ",".join(f"{edge:g}" for edge in pick["box"])
    query = urlencode({"t": f"{pick['time_s']:.3f}", "box": box, "side": _SIDE_PX}, safe=",")
    return f"/api/videos/{video_id}/frame?{query}"
