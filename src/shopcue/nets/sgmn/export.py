"""SGMN -> a folder of ONNX graphs that `models.clip.OnnxClipEncoder` runs, checked against PyTorch before it is there.

Only what is in use is exported: GRA. Preprocessing of pixels is inside the graph; that of texts is n-grams, which both
sides share, or the tokenizer of the text encoder, which is written beside the graphs.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shopcue.errors import OutputError, SettingsError, WeightsError
from shopcue.models.clip import MANIFEST, TOKENIZER, Manifest, OnnxClipEncoder, TextInput
from shopcue.models.hub import file_sha256
from shopcue.models.image import Fit
from shopcue.nets.export import write_graph
from shopcue.nets.sgmn.alignment import Alignment, TextFilter
from shopcue.nets.sgmn.encoders import HouseTextEncoder, TextEncoder
from shopcue.nets.sgmn.network import Sgmn
from shopcue.records import Floats

TOLERANCE = 1e-4
_SAMPLES = ("Red cotton dress, size M", "这款红色连衣裙", "!", "a " * 400, "")


class Frames(nn.Module):
    """Frames and pictures alone. uint8 (N, S, S, 3) -> unit (N, D), and for `shopcue explain` what is where in them."""

    def __init__(self, alignment: Alignment) -> None:
        super().__init__()
        self.alignment = alignment
        self.outputs = ("vectors", "places", "attention") if self._attends() else ("vectors", "places")

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return `outputs`: vectors, unit vectors of P places (N, P, D), how much each of them counts (N, P)."""
        picture = self.alignment.picture
        maps = picture.trunk(picture.prepare(pixels))
        vectors, places = (F.normalize(rows.float(), dim=-1) for rows in picture.upper(maps))
        return (vectors, places, picture.attention(maps)) if "attention" in self.outputs else (vectors, places)

    @torch.no_grad()
    def _attends(self) -> bool:
        """Tell whether the encoder can say how much of each place it takes; not all can."""
        picture = self.alignment.picture
        pixels = torch.zeros(1, picture.side_px, picture.side_px, 3, dtype=torch.uint8)
        try:
            picture.attention(picture.trunk(picture.prepare(pixels)))
        except (NotImplementedError, SettingsError):
            return False
        return True


class Clips(nn.Module):
    """Clips of frames that are encoded. unit (N, L, D), bool (N, L) -> unit (N, D)."""

    def __init__(self, alignment: Alignment) -> None:
        super().__init__()
        self.alignment = alignment

    def forward(self, frames: Tensor, there: Tensor) -> Tensor:
        """Return their vectors."""
        return self.alignment.join(frames, there)[1]


class Ngrams(nn.Module):
    """Texts as hashed n-grams. (N, Dt) -> unit (N, T)."""

    def __init__(self, filter_: TextFilter) -> None:
        super().__init__()
        self.filter = filter_

    def forward(self, ngrams: Tensor) -> Tensor:
        """Return their vectors."""
        return self.filter(ngrams)


class TokenTexts(nn.Module):
    """Texts as tokens, under the names that the text encoder gives them. int64 (N, longest) each -> unit (N, T)."""

    def __init__(self, text: TextEncoder, filter_: TextFilter, names: tuple[str, ...]) -> None:
        super().__init__()
        self.text, self.filter, self.names = text, filter_, names

    def forward(self, *columns: Tensor) -> Tensor:
        """Return their vectors."""
        return self.filter(self.text(dict(zip(self.names, columns, strict=True))))


def export_sgmn(net: Sgmn, out: Path, fit: Fit, made: Mapping[str, str]) -> None:
    """Write `net` to the folder `out`, which appears whole and only if it says what PyTorch says to 1e-4.

    fit: how pictures become squares. made: what the manifest tells people of data, commit and steps. Raises OutputError
    where there is something at `out` already, WeightsError for a text encoder whose tokenizer has no file of its own.
    """
    if out.exists():
        raise OutputError(f"{out} is there already; give the name of a new folder")
    net = net.eval().cpu()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as parent:
        folder = Path(parent) / out.name
        folder.mkdir()
        text = _write_graphs(net, folder)
        files = {path.name: file_sha256(path) for path in sorted(folder.iterdir())}
        picture, config = net.alignment.picture, net.config
        manifest = Manifest(
            files,
            picture.side_px,
            fit,
            config.frames,
            picture.dim,
            text,
            config.text_weight,
            {**made, "encoder": config.encoder},
        )
        (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        check_parity(net, folder)
        shutil.move(str(folder), str(out))


@torch.no_grad()
def check_parity(net: Sgmn, folder: Path) -> None:
    """Raise RuntimeError unless the folder gives the vectors of `net` for pictures, clips and texts."""
    encoder = OnnxClipEncoder(folder, threads=1)
    side, most = net.alignment.picture.side_px, net.config.frames
    pixels = np.random.default_rng(0).integers(0, 256, (most + 1, side, side, 3), np.uint8)
    # Soft pictures as well: noise alone says little of what a net makes of real ones.
    pixels[: most // 2] = np.linspace(0, 255, side, dtype=np.uint8)[None, :, None, None]
    short = max(1, most // 3)
    frames = torch.from_numpy(np.stack([pixels[:most], pixels[1:]]))
    there = torch.arange(most)[None, :] < torch.tensor([[most], [short]])
    clips = encoder.encode_clips([list(pixels[:most]), list(pixels[1 : 1 + short])])
    _compare("clips", net.encode_clips(frames, there)[1], clips)
    _compare("pictures", net.encode_pictures(torch.from_numpy(pixels)), encoder.encode(list(pixels)))
    _, places, *attention = Frames(net.alignment)(torch.from_numpy(pixels))
    _compare("places", places.flatten(0, 1), encoder.encode_places(list(pixels)).reshape(-1, encoder.dim))
    taken = encoder.attention(list(pixels))
    if attention and taken is not None:
        _compare("attention", attention[0].flatten(1), taken.reshape(len(pixels), -1))
    if net.alignment.text is not None:
        _compare("texts", net.encode_texts(_SAMPLES), encoder.encode_texts(_SAMPLES))


def _compare(what: str, expected: Tensor, actual: Floats) -> None:
    gap = float(np.abs(expected.numpy() - actual).max())
    if not gap <= TOLERANCE:
        raise RuntimeError(f"{what} of the exported net differ from PyTorch by {gap:.2g}, not {TOLERANCE}")


def _write_graphs(net: Sgmn, folder: Path) -> TextInput | None:
    alignment, config = net.alignment, net.config
    side, dim = alignment.picture.side_px, alignment.picture.dim
    pixels = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8)
    seeing = Frames(alignment)
    _write(seeing, {"pixels": pixels}, folder / "frames.onnx", seeing.outputs)
    frames = nn.functional.normalize(torch.randn(2, config.frames, dim), dim=-1)
    there = torch.ones(2, config.frames, dtype=torch.bool)
    _write(Clips(alignment), {"frames": frames, "there": there}, folder / "clip.onnx")
    text, filter_ = alignment.text, alignment.text_filter
    if text is None or filter_ is None:
        return None
    with torch.no_grad():
        text_dim = alignment.encode_texts(["one"]).shape[1]
    if isinstance(text, HouseTextEncoder):
        _write(Ngrams(filter_), text.tokens(["one", "two"]), folder / "text.onnx")
        return TextInput("ngrams", text_dim, width=text.width)
    return _write_tokens(text, filter_, text_dim, folder)


def _write_tokens(text: Any, filter_: TextFilter, text_dim: int, folder: Path) -> TextInput:
    """Write the graph of a transformer and its tokenizer; every text is padded to the longest, so shapes are fixed."""
    tokenizer = getattr(text.tokenizer, "backend_tokenizer", None)
    if tokenizer is None:
        raise WeightsError("the text encoder's tokenizer has no tokenizer.json; give a folder with a fast tokenizer")
    tokenizer.save(str(folder / TOKENIZER))
    samples = text.tokenizer(
        ["one", "two"], padding="max_length", truncation=True, max_length=text.longest, return_tensors="pt"
    )
    names = tuple(name for name in ("input_ids", "attention_mask", "token_type_ids") if name in samples)
    _write(TokenTexts(text, filter_, names), {name: samples[name] for name in names}, folder / "text.onnx")
    return TextInput(
        "tokens",
        text_dim,
        longest=text.longest,
        pad_id=int(text.tokenizer.pad_token_id),
        pad_token=str(text.tokenizer.pad_token),
        inputs=names,
    )


def _write(net: nn.Module, inputs: Mapping[str, Tensor], path: Path, outputs: tuple[str, ...] = ("vectors",)) -> None:
    """Write a graph whose first axis is free in all inputs."""
    options = {}
    if isinstance(net, TokenTexts):  # a net that takes any number of inputs has one argument: all of them
        batch = torch.export.Dim("batch")
        options["dynamic_shapes"] = (tuple({0: batch} for _ in inputs),)
    write_graph(net.eval(), inputs, path, outputs, **options)
