"""A stream with a recording whose pictures say when in the stream they were."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from server.browser.storefront import SHOP, Shopfront
from shopcue.database.videos import add_video, change_video
from shopcue.records import Frame
from shopcue.sources.live import NetworkStream
from shopcue.sources.recorder import Recorder
from sources.servers import FPS, Site, site, write_numbered

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTH, HEIGHT = 320, 180
STRETCHES = ((0, 9), (16, 25))
"""What is recorded of the stream, in seconds; the number of each picture is its time in pictures."""

NUMBER = """(video) => {
  const pen = new OffscreenCanvas(320, 18).getContext("2d", { willReadFrequently: true });
  pen.drawImage(video, 0, 0, 320, 18);
  const { data } = pen.getImageData(0, 9, 320, 1);
  let number = 0;
  for (let bit = 0; bit < 10; bit += 1) if (data[4 * (32 * bit + 16)] > 127) number += 1 << bit;
  return number;
}"""
"""The number of the picture that a video element shows, as `clips.picture_number` reads it."""


def record(web: Site, recorder: Recorder, folder: Path, start_s: int, end_s: int) -> None:
    """Let a recorder record one connection of a stream, from one second of it to another."""
    video = write_numbered(folder / f"{start_s}.ts", end_s - start_s, (WIDTH, HEIGHT), first=start_s * FPS)
    web.pages["/live"] = video.read_bytes()
    placed = False
    for item in NetworkStream(f"{web.address}/live", private=True).read(1.0, 320, recorder=recorder):
        if isinstance(item, Frame) and not placed:
            recorder.place(float(start_s))
            placed = True


def lay_recording(
    folder: Path, scratch: Path, stretches: Sequence[tuple[int, int]] = STRETCHES, *, ended: bool = True
) -> None:
    """Write a recording as the worker of streams does. ended: whether the stream was stopped after it."""
    recorder = Recorder(folder, segment_s=2.0)
    with site() as web:
        for start_s, end_s in stretches:
            record(web, recorder, scratch, start_s, end_s)
    recorder.close()
    assert recorder.problem == ""
    if not ended:
        playlist = folder / "live.m3u8"
        playlist.write_text(playlist.read_text().replace("#EXT-X-ENDLIST\n", ""))


def add_recorded(front: Shopfront, scratch: Path, *, live: bool = True, published: bool = False) -> str:
    """Add a stream that runs (or was stopped) and has a recording; returns its id."""
    with front.parts.database.write() as session:
        video_id = add_video(session, SHOP, "stream", "Evening live", "rtmp://camera.example/live").video_id
    lay_recording(front.parts.settings.recording_folder(video_id), scratch, ended=not live)
    health: dict[str, object] = {"frames": 60, "dropped": 0, "waiting": 0, "connections": 2, "faults": 0}
    health |= {"behind_s": 0.2, "deaf_s": 0.0, "recording": "on" if live else ""}
    with front.parts.database.write() as session:
        change_video(
            session, video_id, state="live" if live else "stopped", wanted=live, duration_s=25.0, width=WIDTH,
            height=HEIGHT, published=published, health=health,
        )  # fmt: skip
    return video_id


def number_shown(page: Page, video: str = "video") -> int:
    """Return the number of the picture that a page's video (or canvas) shows."""
    shown: int = page.locator(video).evaluate(NUMBER)
    return shown
