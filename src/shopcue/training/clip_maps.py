"""What a frozen trunk makes of clips and shop pictures, stored once: so SGMN's upper part trains on a processor.

<folder>/clips.npy      float16 (N, L, C, h, w)
<folder>/there.npy      bool (N, L)
<folder>/pictures.npy   float16 (M, C, h, w), the last row of a grey picture
<folder>/ids.json       {"clips": [...], "pictures": [...]}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shopcue.data.clip_pairs import Clip, ShopImage
from shopcue.errors import MediaError
from shopcue.records import Floats, Image
from shopcue.training.clip_samples import Box, Maps, Pixels, hide

See = Callable[[Image], Floats]
"""What a trunk does: uint8 (N, S, S, 3) -> maps, float32 (N, C, h, w)."""

_IDS = "ids.json"
_BATCH = 16


class StoredMaps:
    """Sights as the maps of a frozen trunk, read from files that `store_maps` wrote.

    What is hidden of a frame is hidden of its map: cells become those of a grey picture. So a cell beside a mask still
    knows what is below it, which pixels that are hidden would not tell it. Raises MediaError where the folder holds
    none.
    """

    def __init__(self, folder: Path) -> None:
        try:
            ids = json.loads((folder / _IDS).read_text(encoding="utf-8"))
            self._clips: Maps = np.load(folder / "clips.npy", mmap_mode="r", allow_pickle=False)
            self._pictures: Maps = np.load(folder / "pictures.npy", mmap_mode="r", allow_pickle=False)
            self._there: NDArray[np.bool_] = np.load(folder / "there.npy", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise MediaError(f"{folder} holds no maps ({error}); store them again") from error
        self._clip_at = {clip_id: row for row, clip_id in enumerate(ids["clips"])}
        self._picture_at = {image_id: row for row, image_id in enumerate(ids["pictures"])}

    def clip(self, clip: Clip, hidden: Sequence[Box | None] = ()) -> tuple[Maps, NDArray[np.bool_]]:
        """Return the maps of a clip's frames, (L, C, h, w), and which are there; raises KeyError for an unknown one."""
        row = self._clip_at[clip.clip_id]
        maps = np.array(self._clips[row])
        for frame, box in zip(maps, hidden, strict=False):
            if box is not None:
                hide(frame.transpose(1, 2, 0), box, self.nothing.transpose(1, 2, 0))
        return maps, self._there[row]

    def picture(self, image: ShopImage) -> Maps | None:
        """Return the maps of a shop picture, (C, h, w), None where it could not be read."""
        row = self._picture_at.get(image.image_id)
        return None if row is None else np.asarray(self._pictures[row])

    @property
    def nothing(self) -> Maps:
        """The maps of a grey picture, (C, h, w)."""
        return np.asarray(self._pictures[-1])


def store_maps(
    folder: Path,
    clips: Sequence[Clip],
    images: Sequence[ShopImage],
    pixels: Pixels,
    see: See,
    update: Callable[[int, int], None],
) -> None:
    """Write what a trunk sees of clips and of shop images; `ids.json` comes last and says that all is there.

    update: told how many clips are done, of how many.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _IDS).unlink(missing_ok=True)
    read = [(image.image_id, square) for image in images if (square := pixels.picture(image)) is not None]
    squares = [*(square for _, square in read), pixels.nothing]
    starts = range(0, len(squares), _BATCH)
    shown = np.concatenate([see(np.stack(squares[start : start + _BATCH])).astype(np.float16) for start in starts])
    np.save(folder / "pictures.npy", shown)
    shape = (len(clips), pixels.frames, *shown.shape[1:])
    maps = np.lib.format.open_memmap(folder / "clips.npy", mode="w+", dtype=np.float16, shape=shape)
    there = np.zeros(shape[:2], np.bool_)
    for row, clip in enumerate(clips):
        frames, there[row] = pixels.clip(clip)
        maps[row] = see(frames)
        update(row + 1, len(clips))
    maps.flush()
    np.save(folder / "there.npy", there)
    ids = {"clips": [clip.clip_id for clip in clips], "pictures": [image_id for image_id, _ in read]}
    draft = folder / f".{_IDS}.part"
    draft.write_text(json.dumps(ids), encoding="utf-8")
    draft.replace(folder / _IDS)
