"""Batches of photos follow from their number alone, whoever makes them, and outlive photos that cannot be read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from shopcue.errors import MediaError, SettingsError  # noqa: E402
from shopcue.training.photos import InstancePhoto, PhotoBatches, read_photo  # noqa: E402
from shopcue.training.processes import Process  # noqa: E402
from shopcue.training.steps import batch_loader  # noqa: E402

CPU = torch.device("cpu")
SIDE_PX = 32


@pytest.fixture
def photos(tmp_path: Path) -> list[InstancePhoto]:
    """Six instances with three photos each; a photo's red says its instance, its left half alone is in its box."""
    made = []
    for instance in range(6):
        for number in range(3):
            picture = np.full((40, 40, 3), 255, np.uint8)
            picture[:, :20] = (40 * instance, 10 * number, 128)
            path = tmp_path / f"{instance}-{number}.png"
            cv2.imwrite(str(path), picture[..., ::-1])
            made.append(InstancePhoto(path, instance, (0.0, 0.0, 20.0, 40.0)))
    return made


def test_two_processes_share_what_one_would_make(photos: list[InstancePhoto]) -> None:
    whole = PhotoBatches(photos, 4, 2, SIDE_PX, 0, Process(0, 1, CPU))
    for step in (0, 5):
        batch = whole(step)
        shares = [PhotoBatches(photos, 4, 2, SIDE_PX, 0, Process(rank, 2, CPU))(step) for rank in range(2)]
        np.testing.assert_array_equal(np.concatenate([share.pixels for share in shares]), batch.pixels)
        np.testing.assert_array_equal(np.concatenate([share.instances for share in shares]), batch.instances)
        assert batch.pixels.shape == (8, SIDE_PX, SIDE_PX, 3)
        assert batch.unreadable == 0


def test_pixels_belong_to_their_instance_and_are_seen_through_the_box(photos: list[InstancePhoto]) -> None:
    assert read_photo(photos[0].path, photos[0].box).shape == (40, 20, 3)
    assert read_photo(photos[0].path, None).shape == (40, 40, 3)
    batches = PhotoBatches(photos, 6, 3, SIDE_PX, 0, Process(0, 1, CPU))
    batch = batches(0)
    reds = {instance: batch.pixels[batch.instances == instance][..., 0].mean() for instance in range(6)}
    assert sorted(reds, key=lambda instance: reds[instance]) == list(range(6))
    assert reds[0] < 20, "the white half is outside the box"


def test_a_box_of_a_large_photo_is_in_pixels_of_its_file(tmp_path: Path) -> None:
    picture = np.full((1500, 3000, 3), 255, np.uint8)
    picture[300:900, 1500:2700] = (0, 0, 250)
    cv2.imwrite(str(tmp_path / "large.png"), picture)
    seen = read_photo(tmp_path / "large.png", (1500.0, 300.0, 2700.0, 900.0))
    assert seen.shape == pytest.approx((0.34 * 600, 0.34 * 1200, 3), abs=3)
    assert np.abs(seen[3:-3, 3:-3].astype(int) - (250, 0, 0)).max() <= 25, "nothing but what is in the box"


def test_workers_make_the_same_batches_from_any_step_on(photos: list[InstancePhoto]) -> None:
    batches = PhotoBatches(photos, 4, 2, SIDE_PX, 0, Process(0, 1, CPU))
    expected = [batches(step).pixels for step in range(2, 5)]
    for workers in (0, 2):
        made = [batch.pixels for batch in batch_loader(batches, 2, 5, workers)]
        assert len(made) == 3
        for one, other in zip(made, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    assert not np.array_equal(expected[0], expected[1])


def test_a_photo_that_cannot_be_read_is_replaced_and_counted(photos: list[InstancePhoto]) -> None:
    photos[0].path.write_bytes(b"no picture")
    photos[1].path.unlink()
    batches = PhotoBatches(photos, 6, 3, SIDE_PX, 0, Process(0, 1, CPU))
    batch = batches(0)
    assert batch.unreadable == 2
    np.testing.assert_array_equal(batch.instances, np.repeat(batch.instances[::3], 3))
    assert batch.pixels[batch.instances == 0][..., 0].mean() < 20


def test_an_instance_without_any_photo_to_read_is_named(photos: list[InstancePhoto]) -> None:
    for photo in photos[:3]:
        photo.path.write_bytes(b"no picture")
    with pytest.raises(MediaError, match=r"0-\d\.png is no JPEG.*take the instance out"):
        PhotoBatches(photos, 6, 3, SIDE_PX, 0, Process(0, 1, CPU))(0)


def test_batches_that_cannot_be_made_are_refused(photos: list[InstancePhoto]) -> None:
    with pytest.raises(SettingsError, match="6 instances have pictures, expected 7 or more"):
        PhotoBatches(photos, 7, 2, SIDE_PX, 0, Process(0, 1, CPU))
    with pytest.raises(SettingsError, match="5 instances a batch are no multiple of 2 processes"):
        PhotoBatches(photos, 5, 2, SIDE_PX, 0, Process(0, 2, CPU))
    with pytest.raises(SettingsError, match="0 instances have pictures"):
        PhotoBatches([], 2, 2, SIDE_PX, 0, Process(0, 1, CPU))
