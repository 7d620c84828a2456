"""Clip -> embedding: frames of a live stream, what is said meanwhile, and the shop's pictures and titles (SGMN).

A clip and a picture compare by `clip · picture + λ · speech · title` (eq. 23 of the paper). The encoder is a folder, as
`shopcue export` writes it of a trained SGMN:

    <folder>/sgmn.json        what the files are, their sha256, and how pictures and texts become their inputs
    <folder>/frames.onnx      uint8 RGB (N, S, S, 3) -> unit (N, D): a frame of a clip, or a shop's picture; and
                              for `shopcue explain`, where the folder has them, what is where in it: places, unit
                              (N, P, D), and attention (N, P), how much of each goes into the vector
    <folder>/clip.onnx        unit (N, L, D), bool (N, L), which are there -> unit (N, D)
    <folder>/text.onnx        n-grams or tokens -> unit (N, T); not there in a net that reads nothing
    <folder>/tokenizer.json   where texts become tokens

A frame is encoded by itself, so a stream keeps the vectors of the frames it has seen and only joins them anew.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isqrt
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from shopcue.data.clip_pairs import even_frames
from shopcue.errors import SettingsError, WeightsError
from shopcue.models.clip_text import hashed_ngrams
from shopcue.models.hub import INDEX, file_sha256
from shopcue.models.image import Fit, ImageEncoder, fit_square, open_session
from shopcue.records import Floats, Image

SCHEMA = "shopcue.sgmn/1"
HOUSE_CLIPS = INDEX.parent / "house-clips"
"""The clip encoder that Shopcue brings."""

MANIFEST = "sgmn.json"
TOKENIZER = "tokenizer.json"
GRAPHS = ("frames", "clip", "text")

_BATCH = 16  # pictures in one run of the net
_TEXTS = 64
_LARGEST_MANIFEST = 1 << 16
_LARGEST_FILE = 4 << 30
_LARGEST_TOKENIZER = 64 << 20
_LIMITS = {"side_px": 1024, "frames": 256, "dim": 1 << 14}
_TEXT_LIMITS = {"width": 1 << 20, "dim": 1 << 14, "longest": 4096}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

TextKind = Literal["ngrams", "tokens"]


class ClipEncoder(ImageEncoder, Protocol):
    """An image encoder that turns clips and texts into vectors too; each is the same however it is batched."""

    @property
    def text_weight(self) -> float:
        """λ of eq. 23: how much the likeness of texts counts beside that of pictures."""

    def encode_clips(self, clips: Sequence[Sequence[Image]]) -> Floats:
        """Return unit vectors, zero for a clip without frames. clips: N times RGB uint8 frames -> float32 (N, D)."""

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors, zero for a blank text. texts: what is said, or titles -> float32 (N, T)."""


@dataclass(frozen=True, slots=True)
class TextInput:
    """How a text becomes the input of text.onnx, and T, the length of what comes out.

    kind: ngrams, hashed to `width` places; or tokens, cut and padded to `longest`. inputs: names of the token inputs.
    pad_id, pad_token: what pads.
    """

    kind: TextKind
    dim: int
    width: int = 0
    longest: int = 0
    pad_id: int = 0
    pad_token: str = ""
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What sgmn.json says. files: sha256 by name. side_px: S. frames: L. dim: D. made: of what and how, for people."""

    files: Mapping[str, str]
    side_px: int
    fit: Fit
    frames: int
    dim: int
    text: TextInput | None
    text_weight: float
    made: Mapping[str, str]

    def to_json(self) -> str:
        """Return the file's text."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, ensure_ascii=False) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Return what the folder's sgmn.json says; raises WeightsError where it is not there or says what cannot be."""
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST_MANIFEST + 1)
        if len(raw) > _LARGEST_MANIFEST:
            raise ValueError(f"larger than {_LARGEST_MANIFEST} bytes")
        return _manifest(json.loads(raw))
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}; give a folder that shopcue export wrote") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)[:200]
        raise WeightsError(f"{path} cannot be used ({reason}); give a folder that shopcue export wrote") from error


class OnnxClipEncoder:
    """An exported SGMN, run by ONNX Runtime.

    folder: as above. threads: of one run, the machine's cores where None. Raises WeightsError where a file is missing,
    is not the one that the manifest names, or does not run; SettingsError where reading texts needs a package that is
    not installed.
    """

    name = "sgmn"

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self.manifest = manifest = read_manifest(folder)
        self._folder = folder
        for file, sha256 in manifest.files.items():
            _verify(folder / file, sha256)
        self._frames = open_session(folder / "frames.onnx", threads)
        self._join = open_session(folder / "clip.onnx", threads)
        self._reader: _Reader | None = None
        if manifest.text is not None:
            self._reader = _Reader(folder, manifest.text, threads)
        hashes = "".join(manifest.files[file] for file in sorted(manifest.files))
        weights = hashlib.sha256(hashes.encode()).hexdigest()[:16]
        self._fingerprint = f"{weights}-{manifest.fit}{manifest.side_px}-{manifest.frames}"
        self._check(folder)

    @property
    def dim(self) -> int:
        """D, the length of a clip's and of a picture's vector."""
        return self.manifest.dim

    @property
    def fingerprint(self) -> str:
        """The hashes of the files, and how pictures and clips are fitted into their inputs."""
        return self._fingerprint

    @property
    def text_weight(self) -> float:
        """λ of eq. 23."""
        return self.manifest.text_weight

    def encode(self, images: Sequence[Image]) -> Floats:
        """Return unit vectors of pictures, or of frames for `join`. N RGB uint8 of any size -> float32 (N, D)."""
        found = self._see("vectors", images)
        return np.concatenate([np.empty((0, self.dim), np.float32), *found])

    @property
    def sees_places(self) -> bool:
        """Whether the folder tells what is where in a picture; those of older exports do not."""
        return self._gives("places")

    def encode_places(self, images: Sequence[Image]) -> Floats:
        """Return unit vectors of the places of pictures, in the space of `encode`: float32 (N, H, W, D).

        The places part the square that a picture is fitted into, bars and all. N >= 1. Raises WeightsError where the
        folder was exported without them.
        """
        if not self.sees_places:
            raise WeightsError(
                f"{self._folder} was exported without the places of a picture; export it anew with shopcue export"
            )
        return self._look("places", images)

    def attention(self, images: Sequence[Image]) -> Floats | None:
        """Return how much of each place goes into a picture's vector: float32 (N, H, W), each picture of sum 1.

        N >= 1. None of an encoder that does not attend to places.
        """
        return self._look("attention", images) if self._gives("attention") else None

    def _gives(self, output: str) -> bool:
        return any(found.name == output for found in self._frames.get_outputs())

    def _look(self, output: str, images: Sequence[Image]) -> Floats:
        """Return what the net says of each place. float32 (N, H, W, ...)."""
        rows = np.concatenate(list(self._see(output, images)))
        side = isqrt(rows.shape[1])
        if side * side != rows.shape[1] or not np.isfinite(rows).all():
            raise WeightsError(f"{self._folder} gives {output} of shape {rows.shape}, expected a square of finite ones")
        return np.reshape(rows, (len(rows), side, side, *rows.shape[2:]))

    def _see(self, output: str, images: Sequence[Image]) -> Iterator[Floats]:
        """Yield one output of frames.onnx for each batch of pictures; what nobody asks for is not worked out."""
        for start in range(0, len(images), _BATCH):
            squares = [
                fit_square(image, self.manifest.side_px, self.manifest.fit) for image in images[start : start + _BATCH]
            ]
            yield np.asarray(self._frames.run([output], {"pixels": np.stack(squares)})[0], np.float32)

    def encode_clips(self, clips: Sequence[Sequence[Image]]) -> Floats:
        """Return unit vectors of clips, of `frames` even frames of each. -> float32 (N, D), zero without frames."""
        chosen = [even_frames(clip, self.manifest.frames) for clip in clips]
        vectors = np.zeros((len(clips), self.dim), np.float32)
        for start in range(0, len(clips), _BATCH):
            part = chosen[start : start + _BATCH]
            seen = self.encode([frame for clip in part for frame in clip])
            ends = np.cumsum([len(clip) for clip in part])
            vectors[start : start + _BATCH] = self.join(np.split(seen, ends[:-1]))
        return vectors

    def join(self, clips: Sequence[Floats]) -> Floats:
        """Return unit vectors of clips whose frames are encoded: N times float32 (l, D) -> (N, D).

        Of more frames than the net was trained with, even ones count. A clip without frames is the zero vector.
        """
        rows = np.zeros((len(clips), self.manifest.frames, self.dim), np.float32)
        there = np.zeros(rows.shape[:2], np.bool_)
        for row, mask, clip in zip(rows, there, clips, strict=True):
            frames = even_frames(list(clip), self.manifest.frames)
            row[: len(frames)] = np.reshape(frames, (len(frames), self.dim))
            mask[: len(frames)] = True
        if not len(clips):
            return np.zeros((0, self.dim), np.float32)
        return np.asarray(self._join.run(None, {"frames": rows, "there": there})[0], np.float32)

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors of texts, zero for a blank one: float32 (N, T); T is 0 in a net that reads nothing."""
        return np.zeros((len(texts), 0), np.float32) if self._reader is None else self._reader.encode(texts)

    def _check(self, folder: Path) -> None:
        """Raise WeightsError unless all graphs take and give what the manifest says."""
        side = self.manifest.side_px
        try:
            answers = [
                (self.encode_clips([[np.full((side, side, 3), 127, np.uint8)]]), self.dim),
                (self.encode_texts(["a"]), 0 if self.manifest.text is None else self.manifest.text.dim),
            ]
        except (SettingsError, WeightsError):
            raise
        except Exception as error:  # ONNX Runtime raises classes of its own, one a cause
            raise WeightsError(
                f"{folder} does not run ({str(error)[:200]}); give a folder that shopcue export wrote"
            ) from error
        for answer, dim in answers:
            if answer.shape != (1, dim) or not np.isfinite(answer).all():
                raise WeightsError(
                    f"{folder} answers with shape {answer.shape}, {MANIFEST} says (1, {dim}); export it anew"
                )


class _Reader:
    """Texts -> unit vectors, by text.onnx and what makes its input."""

    def __init__(self, folder: Path, text: TextInput, threads: int | None) -> None:
        self._text = text
        self._session = open_session(folder / "text.onnx", threads)
        self._tokenizer = _open_tokenizer(folder / TOKENIZER, text) if text.kind == "tokens" else None

    def encode(self, texts: Sequence[str]) -> Floats:
        vectors = np.zeros((len(texts), self._text.dim), np.float32)
        said = [number for number, text in enumerate(texts) if text.strip()]
        for start in range(0, len(said), _TEXTS):
            rows = said[start : start + _TEXTS]
            vectors[rows] = self._session.run(None, self._inputs([texts[row] for row in rows]))[0]
        return vectors

    def _inputs(self, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
        if self._tokenizer is None:
            return {"ngrams": hashed_ngrams(texts, self._text.width)}
        found = self._tokenizer.encode_batch([text.encode("utf-8", "replace").decode() for text in texts])
        columns = {
            "input_ids": [each.ids for each in found],
            "attention_mask": [each.attention_mask for each in found],
            "token_type_ids": [each.type_ids for each in found],
        }
        return {name: np.array(columns[name], np.int64) for name in self._text.inputs}


def _open_tokenizer(path: Path, text: TextInput) -> Any:
    """Return the tokenizer in a file, set to cut and pad; it is data alone and runs no code of its own."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise SettingsError(
            "this clip encoder reads texts by tokens; pip install tokenizers, or use another"
        ) from error
    if path.stat().st_size > _LARGEST_TOKENIZER:
        raise WeightsError(f"{path} is larger than {_LARGEST_TOKENIZER} bytes; expected a tokenizer")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # it raises Exception itself
        raise WeightsError(f"{path} is no tokenizer ({str(error)[:200]}); export the encoder anew") from error
    tokenizer.enable_truncation(text.longest)
    tokenizer.enable_padding(length=text.longest, pad_id=text.pad_id, pad_token=text.pad_token)
    return tokenizer


def _verify(path: Path, sha256: str) -> None:
    if not path.is_file():
        raise WeightsError(f"{path} is not there; give a folder that shopcue export wrote, with all its files")
    if path.stat().st_size > _LARGEST_FILE:
        raise WeightsError(f"{path} is larger than {_LARGEST_FILE >> 30} GiB; expected an exported clip encoder")
    found = file_sha256(path)
    if found != sha256:
        raise WeightsError(
            f"{path} has sha256 {found[:12]}..., {MANIFEST} says {sha256[:12]}...; it is damaged: export it anew"
        )


def _manifest(values: Any) -> Manifest:
    """Return the manifest that JSON values are; raises ValueError, TypeError or KeyError where they are none."""
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise ValueError(f"expected an object whose schema is {SCHEMA}")
    text = None if values["text"] is None else _text_input(values["text"])
    wanted = {"frames.onnx", "clip.onnx"} | ({"text.onnx"} if text else set())
    wanted |= {TOKENIZER} if text is not None and text.kind == "tokens" else set()
    files = values["files"]
    if not isinstance(files, dict) or set(files) != wanted:
        raise ValueError(f"files are expected to be {', '.join(sorted(wanted))}, by plain names")
    for file, sha256 in files.items():
        if not _NAME.fullmatch(file) or not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise ValueError(f"the sha256 of {file} is none")
    weight = values["text_weight"]
    if not isinstance(weight, int | float) or not 0 <= weight <= 100:
        raise ValueError("text_weight is expected from 0 to 100")
    if values["fit"] not in ("letterbox", "squash"):
        raise ValueError("fit is expected to be letterbox or squash")
    made = values.get("made", {})
    if not isinstance(made, dict):
        raise TypeError("made is no object")
    sizes = {name: _whole(values, name, most) for name, most in _LIMITS.items()}
    told = {str(name): str(value) for name, value in made.items()}
    return Manifest(files, fit=values["fit"], text=text, text_weight=float(weight), made=told, **sizes)


def _text_input(values: Any) -> TextInput:
    if not isinstance(values, dict) or values.get("kind") not in ("ngrams", "tokens"):
        raise ValueError("the kind of text is expected to be ngrams or tokens")
    dim = _whole(values, "dim", _TEXT_LIMITS["dim"])
    if values["kind"] == "ngrams":
        return TextInput("ngrams", dim, width=_whole(values, "width", _TEXT_LIMITS["width"]))
    inputs, token = values["inputs"], values["pad_token"]
    known = ("input_ids", "attention_mask", "token_type_ids")
    if not isinstance(inputs, list) or not inputs or not set(inputs) <= set(known) or not isinstance(token, str):
        raise ValueError(f"inputs are expected among {', '.join(known)}, pad_token a text")
    pad_id = _whole({"pad_id": values["pad_id"] + 1}, "pad_id", 1 << 24) - 1
    longest = _whole(values, "longest", _TEXT_LIMITS["longest"])
    return TextInput("tokens", dim, longest=longest, pad_id=pad_id, pad_token=token, inputs=tuple(inputs))


def _whole(values: Mapping[str, Any], name: str, most: int) -> int:
    value = values[name]
    if type(value) is not int or not 1 <= value <= most:
        raise ValueError(f"{name} is {str(value)[:40]}, expected a whole number from 1 to {most}")
    return value


CLIP_ENCODERS = {"sgmn": OnnxClipEncoder}
"""Name -> constructor of a `ClipEncoder`."""
