"""What many tests need: small videos made on the spot, and the shared data where it is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import av
import pytest
from hypothesis import settings

from clips import Image, MakeVideo, Sound, VideoSpec, numbered_picture, write_video

# No test is timed: machines are noisy. In continuous integration a failure must be that of the change, not of a new
# draw; at home every run draws anew.
settings.register_profile("shopcue", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("shopcue")


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    """Writes small videos into the test's own folder."""

    def make(
        name: str = "clip.mp4",
        pts_s: Iterable[float] = tuple(i / 10 for i in range(10)),
        *,
        picture: Callable[[int], Image] = numbered_picture,
        sounds: Sequence[Sound] = (),
        container_options: Mapping[str, str] | None = None,
        **spec: object,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w", options=dict(container_options or {})) as container:
            write_video(container, VideoSpec(tuple(pts_s), picture, **spec), sounds)  # type: ignore[arg-type]
        return path

    return make


@pytest.fixture
def shared() -> Path:
    """The shared data of the project, which does not belong to it; skips where it is not there."""
    place = os.environ.get("SHOPCUE_SHARED")
    path = Path(place) if place else Path(__file__).parents[2] / "shared"
    if not path.is_dir():
        pytest.skip("the shared data are not here: set SHOPCUE_SHARED to their folder")
    return path
