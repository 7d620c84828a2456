"""SGMN's loop learns, goes on bit for bit after a kill, and is the same in two processes or in parts as in one."""

from __future__ import annotations

import csv
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from torch import Tensor  # noqa: E402

from clip_sets import write_composed  # noqa: E402
from drawn_garments import consumer_photo, draw_garment, shop_photo  # noqa: E402
from movingfashion_fixture import write_movingfashion  # noqa: E402
from patch_encoder import PatchEncoder  # noqa: E402
from shopcue.data.clip_pairs import Clip, ClipBench, ClipPair, FrameRef, ShopImage  # noqa: E402
from shopcue.data.movingfashion import read_movingfashion_pairs  # noqa: E402
from shopcue.errors import MediaError, OutputError, SettingsError, WeightsError  # noqa: E402
from shopcue.nets.sgmn.encoders import ENCODERS, Encoders, HouseTextEncoder  # noqa: E402
from shopcue.nets.sgmn.network import Sgmn, SgmnConfig  # noqa: E402
from shopcue.training.checkpoints import load_checkpoint, save_checkpoint  # noqa: E402
from shopcue.training.clip_maps import StoredMaps, store_maps  # noqa: E402
from shopcue.training.clip_samples import (  # noqa: E402
    GREY,
    ClipBatches,
    LiveSampler,
    Masking,
    Pixels,
    groups_of,
    hide,
    read_frames,
)
from shopcue.training.clip_validation import bench_ranks, encode_bench, recalls  # noqa: E402
from shopcue.training.processes import Process, average_gradients, open_process, share_weights, wait_for_all  # noqa: E402
from shopcue.training.sgmn import SgmnTraining, backward, load_sgmn, make_batches, make_run, train_sgmn  # noqa: E402

HOUSE = ENCODERS["house"]
ALONE = Process(0, 1, torch.device("cpu"))
SIDE, FRAMES, PRODUCTS = 32, 4, 24
NOUNS = ("shirt", "skirt", "dress", "coat", "scarf", "hat")
COLOURS = ("red", "blue", "green", "black")
SMALL = SgmnTraining(
    net=SgmnConfig(side_px=SIDE, dim=16, frames=FRAMES, heads=2, hard=3),
    whiten=0,
    pairs=6,
    steps=6,
    warmup=2,
    rate=1e-3,
    encoder_rate=1e-3,
    workers=0,
    save_every=3,
    report_every=1,
)


def tiny_encoders() -> Encoders:
    return Encoders(
        lambda settings: PatchEncoder(settings.dim, settings.side_px), lambda settings: HouseTextEncoder(256)
    )


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENCODERS, "house", tiny_encoders())
    torch.set_num_threads(1)


def write_clips(root: Path) -> list[ClipPair]:
    """Two clips of each of some drawn garments, in four lives; what is said holds the title."""
    pairs = []
    for product in range(PRODUCTS):
        rng = np.random.default_rng([5, product])
        garment = draw_garment(product)
        title = f"{COLOURS[product % 4]} {NOUNS[product // 4]} number {product}"
        picture = root / f"{product}.png"
        cv2.imwrite(str(picture), shop_photo(garment, rng)[0][..., ::-1])
        image = ShopImage(f"image-{product}", picture, title, f"product-{product}")
        for clip in range(2):
            paths = [root / f"{product}-{clip}-{frame}.png" for frame in range(FRAMES)]
            for path in paths:
                cv2.imwrite(str(path), consumer_photo(garment, rng)[0][..., ::-1])
            refs = tuple(FrameRef(path) for path in paths)
            speech = f"hello everybody look at this {title} it is cheap"
            pairs.append(
                ClipPair(Clip(f"{product}-{clip}", refs, speech, (image.image_id,), f"live-{product % 4}"), image)
            )
    return pairs


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[ClipPair]:
    return write_clips(tmp_path_factory.mktemp("clips"))


def pixels(config: SgmnTraining = SMALL) -> Pixels:
    return Pixels(SIDE, config.net.frames, config.fit)


# ---- resuming ----------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """What a signal does to a loop."""


def kill_at(at: int) -> Callable[[str, float, float], None]:
    def update(what: str, done: float, total: float) -> None:
        if done == at:
            raise Killed

    return update


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def test_a_killed_run_goes_on_bit_for_bit(pairs: list[ClipPair], tmp_path: Path) -> None:
    whole = train_sgmn(pairs, SMALL, tmp_path / "whole", ALONE, data="drawn")
    with pytest.raises(Killed):
        train_sgmn(pairs, SMALL, tmp_path / "cut", ALONE, data="drawn", update=kill_at(4))
    torch.manual_seed(99)  # another process would stand elsewhere
    resumed = train_sgmn(pairs, SMALL, tmp_path / "cut", ALONE, data="drawn", resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    curves = rows(tmp_path / "cut" / "curves.csv")
    assert curves == rows(tmp_path / "whole" / "curves.csv")
    assert [row["step"] for row in curves] == list("123456")
    assert set(curves[0]) == {"step", "similarity", "graph", "match", "total", "unseen", "rate"}


def test_a_run_is_not_overwritten_nor_resumed_as_another(pairs: list[ClipPair], tmp_path: Path) -> None:
    short = replace(SMALL, steps=1)
    train_sgmn(pairs, short, tmp_path, ALONE, data="drawn")
    with pytest.raises(OutputError, match="holds a training already"):
        train_sgmn(pairs, short, tmp_path, ALONE, data="drawn")
    with pytest.raises(SettingsError, match=r"trained with masked = 0\.5, asked for is 0\.1"):
        train_sgmn(pairs, replace(short, masked=0.1), tmp_path, ALONE, data="drawn", resume=True)
    with pytest.raises(WeightsError, match="trained on data drawn, these are others"):
        train_sgmn(pairs, short, tmp_path, ALONE, data="others", resume=True)


def test_a_checkpoint_is_traced_and_gives_the_net_back(pairs: list[ClipPair], tmp_path: Path) -> None:
    net = train_sgmn(pairs, replace(SMALL, steps=1), tmp_path, ALONE, data="drawn")
    found = load_checkpoint(tmp_path / "last.pt", "sgmn")
    assert (found.data, found.step) == ("drawn", 1)
    assert found.commit
    again, config = load_sgmn(found)
    assert config == replace(SMALL, steps=1)
    frames = torch.randint(0, 256, (2, FRAMES, SIDE, SIDE, 3), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(again.encode_clips(frames)[1], net.encode_clips(frames)[1])


@pytest.mark.parametrize("change", [{"dim": 1 << 20}, {"frames": 10_000}, {"unknown": 1}, {"dim": 8}])
def test_a_strangers_checkpoint_is_refused(pairs: list[ClipPair], tmp_path: Path, change: dict[str, int]) -> None:
    train_sgmn(pairs, replace(SMALL, steps=1), tmp_path, ALONE, data="drawn")
    found = load_checkpoint(tmp_path / "last.pt")
    config = {**found.config, "net": {**found.config["net"], **change}}
    save_checkpoint(tmp_path / "bad.pt", replace(found, config=config))
    with pytest.raises(WeightsError):
        load_sgmn(load_checkpoint(tmp_path / "bad.pt"))


# ---- the gradient: in parts, and in two processes ----------------------------------------------------------------


def gradients(config: SgmnTraining, pairs: list[ClipPair], process: Process = ALONE) -> dict[str, Tensor]:
    torch.manual_seed(4)
    run = make_run(config, process)
    share_weights(run.model, process)
    batch = make_batches(pairs, pixels(config), config, process)(0)
    terms = backward(run, batch, config)
    average_gradients(run.model, process)
    found = {name: each.grad for name, each in run.model.named_parameters() if each.grad is not None}
    return {**found, "loss": terms["total"].detach()}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        # Attention sums in another order in another batch; the largest gradients are near 1.
        assert torch.allclose(found[name], value, atol=2e-5), name


@pytest.mark.parametrize("rows", ["stacked", "places"])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(pairs: list[ClipPair], rows: str) -> None:
    config = replace(SMALL, net=replace(SMALL.net, image_rows=rows))
    whole = gradients(config, pairs)
    assert len(whole) > 20
    for part in (1, 4):
        assert_same(gradients(replace(config, part=part), pairs), whole)


def test_parts_with_fewer_negatives_would_have_another_gradient(pairs: list[ClipPair]) -> None:
    """What accumulation usually does, the mean over small batches, is told apart by these tests."""
    whole = gradients(SMALL, pairs)
    run = make_run(SMALL, ALONE)
    torch.manual_seed(4)
    run = make_run(SMALL, ALONE)
    batch = make_batches(pairs, pixels(), SMALL, ALONE)(0)
    for rows_ in (slice(0, 3), slice(3, 6)):
        part = replace(
            batch,
            **{
                name: getattr(batch, name)[rows_]
                for name in ("frames", "there", "pictures", "speech", "titles", "products")
            },
        )
        backward(run, part, SMALL)
    name = "alignment.picture.layer.weight"
    assert not torch.allclose(run.model.get_parameter(name).grad / 2, whole[name], atol=1e-3)


@pytest.mark.parametrize("part", [0, 4])
def test_what_is_encoded_in_half_precision_is_compared_in_full(
    pairs: list[ClipPair], part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(SMALL, part=part)

    def terms() -> dict[str, Tensor]:
        torch.manual_seed(4)
        run = make_run(config, ALONE)
        found = backward(run, make_batches(pairs, pixels(config), config, ALONE)(0), config)
        assert all(each.grad.isfinite().all() for each in run.model.parameters() if each.grad is not None)
        return found

    full = terms()
    half = torch.autocast("cpu", dtype=torch.bfloat16)
    monkeypatch.setattr("shopcue.training.sgmn.autocast", lambda process, mixed: half)
    for name, value in terms().items():
        assert value.dtype == torch.float32, name
        found, exact = float(value.detach()), float(full[name].detach())
        assert found == pytest.approx(exact, rel=0.02, abs=0.005), name
        assert found != exact, "it was encoded in half precision"


def work(rank: int, port: int, folder: Path, clips: Path) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    ENCODERS["house"] = tiny_encoders()
    with open_process("cpu") as process:
        pairs = write_clips(clips / str(rank))
        found = {"whole": gradients(SMALL, pairs, process), "parts": gradients(replace(SMALL, part=2), pairs, process)}
        net = train_sgmn(pairs, replace(SMALL, steps=2), folder / "run", process, data="drawn")
        torch.save({**found, "weights": net.state_dict()}, folder / f"{rank}.pt")
        wait_for_all(process)


def test_two_processes_equal_one(pairs: list[ClipPair], tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
    torch.multiprocessing.spawn(work, args=(port, tmp_path, tmp_path), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    alone = gradients(SMALL, pairs)
    for found in (one["whole"], other["whole"], one["parts"], other["parts"]):
        assert_same(found, alone)
    for name, value in one["weights"].items():
        assert torch.equal(value, other["weights"][name]), name


# ---- learning ----------------------------------------------------------------------------------------------------


def bench_of(pairs: list[ClipPair]) -> ClipBench:
    images = {pair.image.image_id: pair.image for pair in pairs}
    clips = tuple(replace(pair.clip, live_id="") for pair in pairs)
    return ClipBench("drawn", clips, images, {"": tuple(images)})


def test_the_loop_learns(pairs: list[ClipPair], tmp_path: Path) -> None:
    config = replace(SMALL, pairs=16, steps=40, rate=3e-3, encoder_rate=3e-3, save_every=40, report_every=40)
    bench = bench_of(pairs)
    found: list[dict[str, float]] = []

    def validate(net: Sgmn) -> dict[str, float]:
        vectors = encode_bench(net, bench, pixels(config))
        found.append(recalls(bench_ranks(bench, vectors, 0.0)))
        found.append(recalls(bench_ranks(bench, vectors, config.net.text_weight)))
        return found[-1]

    validate(make_run(config, ALONE).model)
    train_sgmn(pairs, config, tmp_path, ALONE, data="drawn", validate=validate)
    assert found[2]["R@5"] > found[0]["R@5"] + 0.1
    assert found[3]["R@1"] > found[2]["R@1"] + 0.1  # titles are said, so text tells more
    assert rows(tmp_path / "curves.csv")[-1]["R@1"] == f"{found[3]['R@1']:.6g}"


def test_ranks_are_those_of_a_plain_loop(pairs: list[ClipPair]) -> None:
    torch.manual_seed(0)
    net = Sgmn(SMALL.net).eval()
    bench = bench_of(pairs)
    vectors = encode_bench(net, bench, pixels())
    names = list(bench.images)
    for clip, rank in zip(range(4), bench_ranks(bench, vectors, 0.5)[:4], strict=True):
        scores = [
            float(vectors.clips[clip] @ vectors.images[row] + 0.5 * vectors.speech[clip] @ vectors.titles[row])
            for row in range(len(names))
        ]
        right = names.index(bench.clips[clip].image_ids[0])
        assert rank == 1 + sum(score >= scores[right] for row, score in enumerate(scores) if row != right)


# ---- batches -----------------------------------------------------------------------------------------------------


def test_a_batch_is_of_distinct_products_and_half_of_one_live() -> None:
    products = np.repeat(np.arange(40), 5)
    lives = products // 10
    sampler = LiveSampler(products, lives, 12, 0.5, seed=1)
    seen: set[int] = set()
    for step in range(60):
        rows_ = sampler(step)
        assert np.array_equal(rows_, sampler(step))
        assert len(set(products[rows_].tolist())) == 12
        assert max(np.bincount(lives[rows_])) >= 6
        assert len(set(lives[rows_[:6]].tolist())) == 1
        seen |= set(rows_.tolist())
    assert len(seen) > 180  # no row is left out for ever
    with pytest.raises(SettingsError, match="need as many products, the data have 40"):
        LiveSampler(products, lives, 41, 0.5, seed=1)


def test_rare_products_among_many_of_one_are_found() -> None:
    products = np.array([0] * 5000 + [1, 2, 3])
    rows_ = LiveSampler(products, np.zeros_like(products), 4, 0.0, seed=0)(0)
    assert sorted(products[rows_].tolist()) == [0, 1, 2, 3]


def test_processes_share_the_batch_of_one(pairs: list[ClipPair]) -> None:
    whole = make_batches(pairs, pixels(), SMALL, ALONE)(3)
    halves = [make_batches(pairs, pixels(), SMALL, Process(rank, 2, torch.device("cpu")))(3) for rank in range(2)]
    for name in ("frames", "there", "pictures", "products"):
        assert np.array_equal(np.concatenate([getattr(half, name) for half in halves]), getattr(whole, name)), name
    assert halves[0].speech + halves[1].speech == whole.speech
    with pytest.raises(SettingsError, match="no multiple of 4 processes"):
        make_batches(pairs, pixels(), SMALL, Process(0, 4, torch.device("cpu")))


def test_masks_hide_as_much_as_the_paper_says() -> None:
    rng = np.random.default_rng(0)
    boxes = [box for _ in range(500) for box in Masking().draw(10, rng)]
    hidden = [box for box in boxes if box is not None]
    assert 0.47 < len(hidden) / len(boxes) < 0.53
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in hidden]
    assert max(areas) <= 0.9 + 1e-9
    assert abs(np.mean(areas) - 0.45) < 0.02
    assert min(min(box) for box in hidden) >= 0
    assert max(max(box) for box in hidden) <= 1 + 1e-9
    assert Masking(0.0).draw(3, rng) == [None] * 3


def test_what_is_hidden_is_grey_and_nothing_else_is(pairs: list[ClipPair]) -> None:
    whole, _ = pixels().clip(pairs[0].clip, ())
    masked, there = pixels().clip(pairs[0].clip, [None, (0.25, 0.5, 0.75, 1.0), None, None])
    assert there.all()
    assert (masked[1, 16:, 8:24] == GREY).all()
    masked[1, 16:, 8:24] = whole[1, 16:, 8:24]
    assert np.array_equal(masked, whole)
    plain = np.zeros((4, 8), np.uint8)
    hide(plain, (0.0, 0.0, 0.5, 0.25), 9)
    assert plain.tolist() == [[9] * 4 + [0] * 4, *[[0] * 8] * 3]


def test_a_missing_frame_is_its_neighbour_and_a_clip_of_none_counts_as_unseen(
    pairs: list[ClipPair], tmp_path: Path
) -> None:
    clip = pairs[0].clip
    gone = FrameRef(tmp_path / "gone.png")
    holes = replace(clip, frames=(gone, clip.frames[1], gone, clip.frames[3]))
    found, whole = read_frames(holes, FRAMES), read_frames(clip, FRAMES)
    assert [next(i for i, frame in enumerate(whole) if np.array_equal(frame, each)) for each in found] == [1, 1, 1, 3]
    short, there = pixels().clip(replace(clip, frames=clip.frames[:2]), ())
    assert there.tolist() == [True, True, False, False]
    assert (short[2:] == GREY).all()
    empty = ClipPair(replace(clip, frames=(gone,) * FRAMES), pairs[0].image)
    unpictured = ClipPair(pairs[2].clip, replace(pairs[2].image, path=tmp_path / "gone.png"))
    batches = ClipBatches(
        [empty, unpictured, pairs[4]], pixels(), 3, masking=Masking(0), together=0, seed=0, process=ALONE, frames=FRAMES
    )
    batch = batches(0)
    assert batch.unseen == 2
    assert batch.there.any(axis=1).sum() == 1
    run = make_run(replace(SMALL, pairs=3), ALONE)
    terms = backward(run, batch, SMALL)
    assert torch.isfinite(terms["total"])
    assert all(torch.isfinite(each.grad).all() for each in run.model.parameters() if each.grad is not None)


def test_groups_are_products_and_lives(pairs: list[ClipPair]) -> None:
    products, lives = groups_of(pairs)
    assert products.tolist() == [row // 2 for row in range(2 * PRODUCTS)]
    assert lives.tolist() == [row // 2 % 4 for row in range(2 * PRODUCTS)]


class Unreadable(list[ClipPair]):
    """Pairs of which one names a video that is damaged."""

    def __getitem__(self, index: Any) -> Any:
        if index == 1:
            raise MediaError("damaged")
        return super().__getitem__(index)


def test_a_pair_that_cannot_be_read_ends_no_training(pairs: list[ClipPair]) -> None:
    damaged = Unreadable(pairs[:6:2])
    assert groups_of(damaged)[0].tolist() == [0, 1, 2]
    batches = ClipBatches(damaged, pixels(), 3, masking=Masking(0), together=0, seed=0, process=ALONE, frames=FRAMES)
    batch = batches(0)
    assert batch.unseen == 1
    lost = batch.products.tolist().index(1)
    assert not batch.there[lost].any()
    assert (batch.speech[lost], batch.titles[lost]) == ("", "")


def test_pairs_of_videos_tell_their_products_without_being_read(tmp_path: Path) -> None:
    write_movingfashion(tmp_path)

    def refuse(path: Path) -> list[float]:
        raise AssertionError(f"opened {path}")

    told = read_movingfashion_pairs(tmp_path, lambda line: None, times_of=refuse)
    read = read_movingfashion_pairs(tmp_path, lambda line: None, times_of=lambda path: [0.0, 1.0])
    products, lives = groups_of(told)
    assert products.tolist() == groups_of([read[row] for row in range(len(read))])[0].tolist()
    assert set(lives.tolist()) == {0}


# ---- stored maps -------------------------------------------------------------------------------------------------


def test_stored_maps_are_what_the_trunk_sees(pairs: list[ClipPair], tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Sgmn(SMALL.net).eval()
    picture = net.alignment.picture

    def see(squares: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            maps: np.ndarray = picture.trunk(picture.prepare(torch.from_numpy(squares))).numpy()
            return maps

    images = {pair.image.image_id: pair.image for pair in pairs}
    store_maps(tmp_path, [pair.clip for pair in pairs], list(images.values()), pixels(), see, lambda done, of: None)
    maps, bench = StoredMaps(tmp_path), bench_of(pairs)
    stored, read = encode_bench(net, bench, maps), encode_bench(net, bench, pixels())
    assert np.abs(stored.clips - read.clips).max() < 2e-3  # half precision
    assert np.abs(stored.images - read.images).max() < 2e-3
    masked, _ = maps.clip(pairs[0].clip, [(0.0, 0.0, 0.5, 0.5), None, None, None])
    assert np.array_equal(masked[0][:, :4, :4], maps.nothing[:, :4, :4])
    assert np.array_equal(masked[0][:, 4:], maps.clip(pairs[0].clip)[0][0][:, 4:])


# ---- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"optimizer": "sgd"}, "expected one of adam, adamw"),
        ({"fit": "stretch"}, "expected letterbox or squash"),
        ({"masked": 1.5}, "masked is 1.5, expected 0 to 1"),
        ({"pairs": 1}, "pairs is 1, expected 2 or more"),
        ({"whiten": 200, "net": SgmnConfig()}, "expected more pictures than dim"),
    ],
)
def test_settings_that_make_no_sense_are_told(change: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        replace(SMALL, **change)


def test_both_optimizers_move_the_pretrained_part_at_its_own_rate(pairs: list[ClipPair]) -> None:
    for name, kind in (("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)):
        run = make_run(replace(SMALL, optimizer=name, rate=2e-3, encoder_rate=1e-4, warmup=0), ALONE)
        assert type(run.optimizer) is kind
        assert [group["lr"] for group in run.optimizer.param_groups] == [1e-4, 2e-3]
        counts = [sum(each.numel() for each in group["params"]) for group in run.optimizer.param_groups]
        assert sum(counts) == sum(each.numel() for each in run.model.parameters() if each.requires_grad)


# ---- by name -----------------------------------------------------------------------------------------------------

BY_NAME = """
start = "none"
whiten = 0
pairs = 4
steps = 2
warmup = 1
workers = 0
fit = "squash"

[net]
side_px = 32
dim = 8
heads = 2
frames = 4
frozen = 16
"""


def test_sgmn_is_trained_and_exported_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript", reason="export is in the train extra: pip install 'shopcue[train]'")
    from shopcue.learning import export, train
    from shopcue.models.clip import OnnxClipEncoder

    write_composed(tmp_path / "set")
    (tmp_path / "config.toml").write_text(BY_NAME)
    monkeypatch.setitem(ENCODERS, "house", HOUSE)
    told: list[str] = []
    checkpoint = train(
        "sgmn", tmp_path / "set", tmp_path / "out", config=tmp_path / "config.toml", device="cpu", note=told.append
    )
    assert not told
    assert float(rows(tmp_path / "out" / "curves.csv")[-1]["R@1"]) >= 0
    folder = export(checkpoint, tmp_path / "encoder")
    encoder = OnnxClipEncoder(folder, threads=1)
    assert encoder.manifest.made["data"] == load_checkpoint(checkpoint).data
    assert encoder.manifest.fit == "squash"
    with pytest.raises(OutputError, match="is there already"):
        export(checkpoint, tmp_path / "encoder")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[net]\nfrmes = 3\n", "unknown key 'frmes' in .*; did you mean 'frames'"),
        ("net = 3\n", "net is 3, expected a value like 'a table'"),
        ('[net]\nencoder = "resnet"\n', "the encoder is 'resnet', expected one of"),
        ('fit = "stretch"\n', "fit is 'stretch', expected a value like 'letterbox'"),
    ],
)
def test_a_config_with_a_wrong_table_is_told(tmp_path: Path, text: str, told: str) -> None:
    from shopcue.learning import read_config

    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(SettingsError, match=told):
        read_config(tmp_path / "config.toml", SgmnTraining)


def test_a_folder_is_known_by_what_lies_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from shopcue import learning

    asked: list[str] = []
    for name in ("composed", "movingfashion", "lpr4m"):
        monkeypatch.setattr(learning, f"read_{name}_pairs", lambda *_, name=name: asked.append(name))
    learning.read_clip_pairs(tmp_path, print, 10)
    (tmp_path / "train.json").touch()
    learning.read_clip_pairs(tmp_path, print, 10)
    (tmp_path / "composed-clips.json").touch()
    learning.read_clip_pairs(tmp_path, print, 10)
    assert asked == ["lpr4m", "movingfashion", "composed"]
