"""Trained by one command and judged by another, on each set in its layout: the figures are those of a plain loop."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")
pytest.importorskip("onnxscript", reason="export is in the train extra: pip install 'shopcue[train]'")

from clip_sets import WRITERS, Asked, ClipSet  # noqa: E402
from clips import Image  # noqa: E402
from patch_encoder import PatchEncoder  # noqa: E402
from shopcue.cli import main  # noqa: E402
from shopcue.models.clip import OnnxClipEncoder  # noqa: E402
from shopcue.nets.sgmn.encoders import ENCODERS, Encoders, HouseTextEncoder  # noqa: E402
from shopcue.training.checkpoints import load_checkpoint  # noqa: E402

CONFIG = """
start = "none"
whiten = 0
pairs = 6
steps = 4
warmup = 1
rate = 3e-3
workers = 0
fit = "squash"

[net]
side_px = 32
dim = 16
heads = 2
frames = 4
"""
SILENT = "movingfashion"
"""Where nobody speaks, and nothing is read."""
KS = (1, 5, 10)
PROTOCOLS = {"lpr4m": ["--protocol", "main"], "movingfashion": ["--protocol", "rice"], "composed-clips": []}


@dataclass(frozen=True)
class Trained:
    """A set, and what `shopcue train` and `shopcue export` made of it."""

    name: str
    root: Path
    known: ClipSet
    checkpoint: Path
    folder: Path


@pytest.fixture(scope="module", params=list(WRITERS))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    work = tmp_path_factory.mktemp("trained")
    root = work / "set"
    (root / "annotations").mkdir(parents=True)
    known = WRITERS[request.param](root)
    (work / "small.toml").write_text(CONFIG + "te = false\n" * (request.param == SILENT))
    torch.set_num_threads(1)
    command = ["train", "sgmn", "--data", str(root), "--out", str(work / "run"), "--device", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENCODERS, "house", tiny_encoders())
        assert main([*command, "--config", str(work / "small.toml")]) == 0
        assert main(["export", str(work / "run" / "last.pt"), "--out", str(work / "encoder")]) == 0
    return Trained(request.param, root, known, work / "run" / "last.pt", work / "encoder")


def tiny_encoders() -> Encoders:
    return Encoders(
        lambda settings: PatchEncoder(settings.dim, settings.side_px), lambda settings: HouseTextEncoder(256)
    )


def judged(capsys: pytest.CaptureFixture[str], trained: Trained, model: Path, *more: str) -> dict[str, Any]:
    capsys.readouterr()
    command = ["eval", trained.name, "--data", str(trained.root), "--model", str(model), "--json"]
    assert main([*command, *PROTOCOLS[trained.name], *more]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    document: dict[str, Any] = json.loads(line)
    return document


# ---- the plain loop ----------------------------------------------------------------------------------------------


def even(frames: Sequence[Image], count: int) -> list[Image]:
    if len(frames) <= count:
        return list(frames)
    return [frames[int(at)] for at in np.linspace(0, len(frames), count, endpoint=False)]


def rank_of(asked: Asked, known: ClipSet, encoder: OnnxClipEncoder, weight: float) -> float:
    """One more than there are wrong images that are no worse than the best right one."""
    if not asked.frames:
        return np.inf
    clip, speech = encoder.encode_clips([even(asked.frames, 10)])[0], encoder.encode_texts([asked.speech])[0]
    scores = {}
    for image_id in asked.gallery:
        picture, title = known.shown[image_id]
        if picture is not None:
            visual, text = encoder.encode([picture])[0], encoder.encode_texts([title])[0]
            scores[image_id] = float(clip @ visual) + weight * float(speech @ text)
    best = max((scores[image_id] for image_id in asked.right if image_id in scores), default=np.inf)
    wrong = [score for image_id, score in scores.items() if image_id not in asked.right]
    return np.inf if best == np.inf else 1 + sum(score >= best for score in wrong)


def recalls(ranks: Sequence[float]) -> dict[str, float]:
    found = {f"R@{k}": mean(rank <= k for rank in ranks) for k in KS}
    return {**found, "R@mean": mean(found.values())}


@pytest.mark.parametrize("speech", [True, False])
def test_the_figures_are_those_of_a_plain_loop(
    trained: Trained, capsys: pytest.CaptureFixture[str], speech: bool
) -> None:
    if not speech and trained.name == SILENT:
        pytest.skip("nobody speaks there")
    known, encoder = trained.known, OnnxClipEncoder(trained.folder, threads=1)
    report = judged(capsys, trained, trained.folder, *([] if speech else ["--no-speech"]))
    assert report["protocol"].endswith("/sgmn" if speech else "/sgmn without speech")
    ranks = [rank_of(asked, known, encoder, encoder.text_weight if speech else 0.0) for asked in known.asked]
    assert {name: report[name] for name in recalls(ranks)} == pytest.approx(recalls(ranks), abs=1e-6)
    assert report["queries"] == len(known.asked)
    assert report["missing"] == sum(not asked.frames for asked in known.asked)
    galleries = {
        asked.gallery: sum(known.shown[each][0] is not None for each in asked.gallery) for asked in known.asked
    }
    sizes = list(galleries.values())
    assert report["gallery"] == {"min": min(sizes), "median": median(sizes), "max": max(sizes)}
    assert report["gallery_missing"] == sum(picture is None for picture, _ in known.shown.values())
    for name, value in {asked.subset for asked in known.asked}:
        chosen = [rank for asked, rank in zip(known.asked, ranks, strict=True) if asked.subset == (name, value)]
        found = report["subsets"][name][value]
        if trained.name != "movingfashion":  # where a video may be of two sources
            assert found["queries"] == len(chosen)
            assert found["R@1"] == pytest.approx(recalls(chosen)["R@1"], abs=1e-6)


def test_what_is_said_tells_products_apart(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    if trained.name == SILENT:
        pytest.skip("nobody speaks there")
    spoken, silent = (judged(capsys, trained, trained.folder, f"--{flag}speech") for flag in ("", "no-"))
    assert spoken["R@1"] > silent["R@1"] + 0.1, "titles are said, and the net has hardly learnt to see"


def test_a_checkpoint_is_judged_as_what_it_is_exported_as(
    trained: Trained, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if trained.name != SILENT:
        pytest.skip("once is enough: an export takes seconds")
    monkeypatch.setitem(ENCODERS, "house", tiny_encoders())
    assert judged(capsys, trained, trained.checkpoint) == judged(capsys, trained, trained.folder)


def test_a_run_leaves_curves_and_says_what_its_export_was_made_of(trained: Trained) -> None:
    with (trained.checkpoint.parent / "curves.csv").open(newline="") as file:
        row = list(csv.DictReader(file))[-1]
    assert row["step"] == "4"
    assert row["unseen"] == "0"
    assert ("R@1" in row) == (trained.name == "composed-clips"), "the published sets have nothing to validate on"
    manifest = OnnxClipEncoder(trained.folder, threads=1).manifest
    assert (manifest.made["data"], manifest.made["steps"]) == (load_checkpoint(trained.checkpoint).data, "4")
    assert (manifest.fit, manifest.frames, manifest.text is None) == ("squash", 4, trained.name == SILENT)
