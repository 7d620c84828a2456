"""A clip encoder gives what its graphs say, however it is asked, and believes no folder that a stranger made."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="tiny test models are built with onnx, of the extra 'train'")

from clip_folder import FRAMES, MIDDLE, MIX, PLACES, SIDE, TEXT_DIM, WIDTH, write_clip_folder  # noqa: E402
from shopcue.errors import SettingsError, WeightsError  # noqa: E402
from shopcue.models.clip import CLIP_ENCODERS, MANIFEST, ClipEncoder, OnnxClipEncoder, read_manifest  # noqa: E402
from shopcue.models.clip_text import hashed_ngrams  # noqa: E402
from shopcue.models.hub import file_sha256  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip_folder(tmp_path_factory.mktemp("clip") / "encoder")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> ClipEncoder:
    return CLIP_ENCODERS["sgmn"](folder, threads=1)


def frames(count: int, seed: int = 0, side: int = SIDE) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [
        (rng.integers(0, 256, 3) // 2 + rng.integers(0, 100, (side, side, 3))).astype(np.uint8) for _ in range(count)
    ]


def colour(frame: np.ndarray) -> np.ndarray:
    mean = frame.reshape(-1, 3).mean(axis=0) - np.array([90, 128, 160])
    return np.asarray(mean / np.linalg.norm(mean))


def unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector))


# ---- what it says ------------------------------------------------------------------------------------------------


def test_pictures_and_clips_are_what_the_graphs_say(encoder: ClipEncoder) -> None:
    shown = frames(2 * FRAMES)
    assert encoder.dim == 3
    assert np.allclose(encoder.encode(shown), [colour(frame) for frame in shown], atol=1e-5)
    expected = [unit(np.sum([colour(frame) for frame in clip], axis=0)) for clip in (shown[:FRAMES], shown[:2])]
    assert np.allclose(encoder.encode_clips([shown[:FRAMES], shown[:2]]), expected, atol=1e-5)


def test_of_a_long_clip_even_frames_count(encoder: ClipEncoder) -> None:
    shown = frames(11)
    even = [shown[i] for i in np.linspace(0, 11, FRAMES, endpoint=False).astype(int)]
    assert np.allclose(encoder.encode_clips([shown]), encoder.encode_clips([even]), atol=1e-6)


def test_vectors_do_not_depend_on_their_batch(encoder: ClipEncoder) -> None:
    clips = [frames(1 + seed % 6, seed) for seed in range(37)]
    together = encoder.encode_clips(clips)
    alone = np.concatenate([encoder.encode_clips([clip]) for clip in clips])
    assert np.allclose(together, alone, atol=1e-6)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_frames_can_be_kept_and_joined_later(folder: Path) -> None:
    encoder = OnnxClipEncoder(folder, threads=1)
    clips = [frames(3, 1), frames(7, 2), []]
    kept = [encoder.encode(clip) for clip in clips]
    assert np.allclose(encoder.join(kept), encoder.encode_clips(clips), atol=1e-6)
    assert not encoder.join(kept)[2].any()
    assert encoder.join([]).shape == encoder.encode_clips([]).shape == (0, 3)


def test_pictures_of_any_size_are_read(encoder: ClipEncoder) -> None:
    large = np.full((300, 100, 3), (250, 20, 30), np.uint8)
    assert np.allclose(encoder.encode([large]), [colour(large)], atol=1e-4)


def test_places_lie_row_by_row(folder: Path) -> None:
    encoder = OnnxClipEncoder(folder, threads=1)
    shown = frames(19)
    found, taken = encoder.encode_places(shown), encoder.attention(shown)
    assert taken is not None
    assert found.shape == (19, PLACES, PLACES, 3)
    cell = SIDE // PLACES
    for each, places, attention in zip(shown, found, taken, strict=True):
        means = each.reshape(PLACES, cell, PLACES, cell, 3).mean(axis=(1, 3)) - MIDDLE
        distance = np.linalg.norm(means, axis=-1)
        assert np.allclose(places, means / distance[..., None], atol=1e-5)
        weights = np.exp(distance - distance.max())
        assert np.allclose(attention, weights / weights.sum(), atol=1e-4)


def test_a_folder_without_places_says_how_to_get_them(tmp_path: Path) -> None:
    encoder = OnnxClipEncoder(write_clip_folder(tmp_path / "older", places=False), threads=1)
    assert not encoder.sees_places
    assert encoder.encode(frames(1)).shape == (1, 3)
    assert encoder.attention(frames(1)) is None
    with pytest.raises(WeightsError, match="export it anew"):
        encoder.encode_places(frames(1))


def test_texts_are_hashed_and_blank_ones_are_zero(encoder: ClipEncoder) -> None:
    texts = ["red dress", " ", "这款红色连衣裙", "", *(f"text {i}" for i in range(70))]
    found = encoder.encode_texts(texts)
    assert found.shape == (74, TEXT_DIM)
    assert not found[[1, 3]].any()
    assert np.allclose(found[0], unit(hashed_ngrams(["red dress"], WIDTH)[0] @ MIX), atol=1e-5)
    assert np.allclose(found[2], encoder.encode_texts(["这款红色连衣裙"])[0], atol=1e-6)
    assert encoder.text_weight == 0.5


def test_a_fingerprint_tells_other_weights_and_other_fitting(folder: Path, tmp_path: Path) -> None:
    first = OnnxClipEncoder(folder, threads=1).fingerprint
    assert OnnxClipEncoder(folder, threads=1).fingerprint == first
    other = write_clip_folder(tmp_path / "fit", fit="letterbox")
    assert OnnxClipEncoder(other, threads=1).fingerprint != first


@pytest.mark.parametrize("name", ["frames.onnx", "clip.onnx", "text.onnx"])
def test_a_fingerprint_is_of_every_file(tmp_path: Path, name: str) -> None:
    folder = write_clip_folder(tmp_path / "encoder")
    first = OnnxClipEncoder(folder, threads=1).fingerprint
    graph = onnx.load(folder / name)
    graph.producer_name = "another"
    onnx.save(graph, folder / name)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = file_sha256(folder / name)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert OnnxClipEncoder(folder, threads=1).fingerprint != first


def test_no_torch_is_needed(folder: Path) -> None:
    code = (
        "import sys, pathlib; from shopcue.models.clip import OnnxClipEncoder; "
        f"OnnxClipEncoder(pathlib.Path({str(folder)!r}), threads=1).encode_texts(['a']); "
        "assert 'torch' not in sys.modules and 'tokenizers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- what it does not believe --------------------------------------------------------------------------------------


def change(folder: Path, **values: Any) -> Path:
    path = folder / "sgmn.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return folder


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"schema": "shopcue.sgmn/9"}, "schema is shopcue.sgmn/1"),
        ({"files": {"../frames.onnx": "0" * 64, "clip.onnx": "0" * 64, "text.onnx": "0" * 64}}, "by plain names"),
        ({"files": {"frames.onnx": 5, "clip.onnx": "0" * 64, "text.onnx": "0" * 64}}, "sha256 of frames.onnx is none"),
        ({"files": ["frames.onnx"]}, "by plain names"),
        ({"side_px": 1 << 20}, "side_px is 1048576, expected a whole number from 1 to 1024"),
        ({"side_px": True}, "side_px is True"),
        ({"frames": 0}, "frames is 0"),
        ({"dim": "3"}, "dim is 3, expected a whole number"),
        ({"fit": "../fit"}, "letterbox or squash"),
        ({"text_weight": float("nan")}, "text_weight is expected from 0 to 100"),
        ({"text_weight": "much"}, "text_weight is expected from 0 to 100"),
        ({"text": {"kind": "pickle"}}, "ngrams or tokens"),
        ({"text": {"kind": "ngrams", "dim": 5, "width": 1 << 40}}, "width is 1099511627776"),
        ({"text": {"kind": "ngrams", "dim": 5}}, "lacks 'width'"),
        ({"text": None}, "files are expected to be clip.onnx, frames.onnx"),
        ({"made": 3}, "made is no object"),
    ],
)
def test_a_strangers_manifest_is_refused_in_one_line(tmp_path: Path, values: dict[str, Any], told: str) -> None:
    folder = change(write_clip_folder(tmp_path / "bad"), **values)
    with pytest.raises(WeightsError) as caught:
        read_manifest(folder)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("raw", [b"", b"[]", b"[" * 50_000, b"\xff\xfe", b"{}" + b" " * (1 << 17), b"null"])
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, raw: bytes) -> None:
    folder = write_clip_folder(tmp_path / "bad")
    (folder / "sgmn.json").write_bytes(raw)
    with pytest.raises(WeightsError, match=r"sgmn\.json"):
        OnnxClipEncoder(folder)


def test_missing_and_damaged_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="give a folder that shopcue export wrote"):
        OnnxClipEncoder(tmp_path)
    folder = write_clip_folder(tmp_path / "one")
    raw = bytearray((folder / "clip.onnx").read_bytes())
    raw[-3] ^= 1
    (folder / "clip.onnx").write_bytes(raw)
    with pytest.raises(WeightsError, match=r"clip\.onnx has sha256"):
        OnnxClipEncoder(folder)
    (folder / "clip.onnx").unlink()
    with pytest.raises(WeightsError, match=r"clip\.onnx is not there"):
        OnnxClipEncoder(folder)


def test_graphs_that_are_others_than_the_manifest_says_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        OnnxClipEncoder(write_clip_folder(tmp_path / "dim", dim=4), threads=1)
    with pytest.raises(WeightsError, match="does not run"):
        OnnxClipEncoder(write_clip_folder(tmp_path / "frames", frames=FRAMES + 1), threads=1)
    with pytest.raises(WeightsError, match="does not run"):
        OnnxClipEncoder(write_clip_folder(tmp_path / "side", side_px=SIDE * 2), threads=1)
    swapped = write_clip_folder(tmp_path / "swapped")
    (swapped / "clip.onnx").write_bytes((swapped / "text.onnx").read_bytes())
    files = {name: file_sha256(swapped / name) for name in ("frames.onnx", "clip.onnx", "text.onnx")}
    with pytest.raises(WeightsError, match="does not run"):
        OnnxClipEncoder(change(swapped, files=files), threads=1)


def tokens_folder(root: Path, content: str) -> Path:
    folder = write_clip_folder(root / "tokens")
    (folder / "tokenizer.json").write_text(content)
    names = ("frames.onnx", "clip.onnx", "text.onnx", "tokenizer.json")
    text = {"kind": "tokens", "dim": 5, "longest": 8, "pad_id": 0, "pad_token": "[PAD]", "inputs": ["input_ids"]}
    return change(folder, files={name: file_sha256(folder / name) for name in names}, text=text)


def test_a_tokenizer_that_is_none_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    with pytest.raises(WeightsError, match=r"tokenizer\.json is no tokenizer"):
        OnnxClipEncoder(tokens_folder(tmp_path, '{"version": "1.0"}'), threads=1)


def test_a_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(SettingsError, match="pip install tokenizers"):
        OnnxClipEncoder(tokens_folder(tmp_path, "{}"), threads=1)
