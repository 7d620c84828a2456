"""SGMN on composed clips: its ablations (tables 5, 6 and 7 of the paper), what it is held against, a small trained one.

    python -m runs.sgmn SET WORK [--only baselines|5|6|6-places|7] [--seeds 0,1,2] [--steps N]
                                 [--out runs/results/sgmn.json]
    python -m runs.sgmn SET WORK --ship OUT [--steps N] [--start START TRAINED] [--frozen N]

SET is written by `runs.composed_clips`, split by product: no product of a test clip, nor anything that appears in one,
is in a training clip. A clip of ten even frames searches the products of its own live, about 55; R@k counts ties
against the model. WORK keeps what the frozen backbone makes of all pictures, which is computed once.

The ablations freeze EfficientNet-Lite0 as published for ImageNet as a whole; all after it is trained: projection,
attention over places, motion, filter layer, graphs, fusion. They are written after every run, so that the script can be
stopped and started again. --ship trains the backbone's last blocks too, longer, and leaves in OUT checkpoint, curves,
and the exported folders `exact` and, in eight bits, `encoder`; it goes on where OUT was left. It starts from ImageNet,
or from the `last` net of the house encoder (see runs/joined.py), which --start gives as its two files.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from runs.joined import LAST_SHARE, load_last

from shopcue.data.clip_pairs import ClipBench, ClipPair
from shopcue.data.composed_clips import read_composed_bench, read_composed_head, read_composed_pairs
from shopcue.errors import MediaError
from shopcue.models.clip import MANIFEST, read_manifest
from shopcue.models.hub import file_sha256
from shopcue.nets.export import largest_gap, quantize, run, write_graph
from shopcue.nets.sgmn.export import export_sgmn
from shopcue.nets.sgmn.network import Sgmn, SgmnConfig
from shopcue.records import Floats, Image
from shopcue.training.checkpoints import code_commit
from shopcue.training.clip_maps import StoredMaps, store_maps
from shopcue.training.clip_samples import ClipBatches, Pixels
from shopcue.training.clip_validation import BenchVectors, bench_ranks, encode_bench, recalls
from shopcue.training.encoder import blend
from shopcue.training.processes import Process, seed_process
from shopcue.training.sgmn import SgmnTraining, make_batches, make_run, start_projection, take_step, train_sgmn
from shopcue.training.steps import batch_loader

ALONE = Process(0, 1, torch.device("cpu"))
NET = SgmnConfig(frozen=17)
TRAINING = SgmnTraining(
    net=NET,
    pairs=32,
    steps=150,
    warmup=20,
    optimizer="adamw",
    rate=3e-4,
    encoder_rate=1e-4,
    weight_decay=0.02,
    together=0.75,
    workers=0,
)

EIGHT_BIT_PAIRS = 64  # whose pictures say how large the numbers inside the net become

SHIPPED = replace(TRAINING, net=replace(NET, frozen=14), steps=300, save_every=100)

TABLE_5: dict[str, dict[str, Any]] = {
    f"beta1 {one}, beta2 {two}": {"beta1": one, "beta2": two}
    for one, two in ((0.0, 1.0), (0.2, 0.8), (0.3, 0.7), (0.5, 0.5), (0.7, 0.3), (0.8, 0.2), (1.0, 0.0))
}
TABLE_6: dict[str, dict[str, Any]] = {
    name: {"i2i": "I2I" in graphs, "v2v": "V2V" in graphs, "cross": "cross" in graphs}
    for name, graphs in {
        "A: no graph": (),
        "B: I2I": ("I2I",),
        "C: V2V": ("V2V",),
        "D: V2I and I2V": ("cross",),
        "E: I2I, V2V": ("I2I", "V2V"),
        "F: I2I, V2I and I2V": ("I2I", "cross"),
        "G: V2V, V2I and I2V": ("V2V", "cross"),
        "H: all": ("I2I", "V2V", "cross"),
    }.items()
}
TABLE_7: dict[str, dict[str, Any]] = {
    "A: GRA alone": {"te": False, "tmc": False, "gci": False, "smf": False},
    "B: + TE": {"tmc": False, "gci": False, "smf": False},
    "C: + TMC": {"gci": False, "smf": False},
    "D: + GCI": {"smf": False},
    "E: + SMF": {},
}
BASELINE = "baseline: mean of the frames, untrained"
# As printed, S_I of eq. 6 is one vector L times, so the graph of images cannot change anything; here it is L places.
TABLE_6_PLACES = {name: {**switches, "image_rows": "places"} for name, switches in TABLE_6.items()}
TABLES = {"5": TABLE_5, "6": TABLE_6, "6-places": TABLE_6_PLACES, "7": TABLE_7}


@dataclass(frozen=True, slots=True)
class Material:
    """What all runs share. maps: of the pairs' and the bench's pictures."""

    pairs: Sequence[ClipPair]
    bench: ClipBench
    maps: StoredMaps
    data: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", choices=("baselines", *TABLES))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/results/sgmn.json"))
    parser.add_argument("--ship", type=Path)
    parser.add_argument("--start", type=Path, nargs=2, metavar=("START", "TRAINED"))
    parser.add_argument("--frozen", type=int, help="layers of the backbone that --ship does not train")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    training = TRAINING if arguments.ship is None else SHIPPED
    if arguments.steps:
        training = replace(training, steps=arguments.steps)
    if arguments.ship is not None and arguments.frozen is not None:
        training = replace(training, net=replace(training.net, frozen=arguments.frozen))
    if arguments.ship is not None and arguments.start is not None:
        training = replace(training, start=str(blended(arguments.start, arguments.work)))
    material = prepare(arguments.set, arguments.work, training)
    if arguments.ship is not None:
        ship(material, training, arguments.ship)
        return
    rows = rows_of(training)
    wanted = BASELINE if arguments.only == "baselines" else f"table {arguments.only}, " if arguments.only else ""
    results = Results(arguments.out, material, training, {name: row.key for name, row in rows.items()})
    for seed in map(int, arguments.seeds.split(",")):  # so a stopped script has whole tables of fewer seeds
        for name, row in rows.items():
            if name.startswith(wanted) and not results.has(row.key, seed):
                results.add(name, row.key, seed, row.make(material, replace(row.config, seed=seed)))


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: rows of one key are one run."""

    key: str
    config: SgmnTraining
    make: Callable[[Material, SgmnTraining], dict[str, Any]]


def rows_of(training: SgmnTraining) -> dict[str, Row]:
    """Return all rows of all tables by name; table 7 comes first."""
    rows = {BASELINE: Row("untrained", training, untrained)}
    for table in ("7", "6", "5", "6-places"):
        for name, switches in TABLES[table].items():
            config = replace(training, net=replace(NET, **switches))
            rows[f"table {table}, {name}"] = Row(json.dumps(switches_of(config)), config, trained)
    return rows


# ---- runs --------------------------------------------------------------------------------------------------------


def trained(material: Material, config: SgmnTraining) -> dict[str, Any]:
    """Return what a net that is trained by `config` finds, and how long a step took."""
    begun = time.process_time()
    net = fit(material, config)
    seconds = time.process_time() - begun
    found = figures(material.bench, encode_bench(net, material.bench, material.maps), config.net)
    return {**found, "cpu_s": round(seconds, 1)}


def untrained(material: Material, config: SgmnTraining) -> dict[str, Any]:
    """Return what the whitened features of the start find: the mean of the frames, nothing else, nothing trained."""
    plain = replace(config, net=replace(NET, te=False, tmc=False, gci=False, smf=False))
    seed_process(plain.seed, ALONE)
    run = make_run(plain, ALONE)
    start_projection(run.model, batches_of(material, plain), plain)
    picture = run.model.alignment.picture
    torch.nn.init.zeros_(picture.look.out.weight)  # what it adds is drawn, and small; the mean is what is asked for
    return figures(material.bench, encode_bench(run.model, material.bench, material.maps), plain.net)


def fit(material: Material, config: SgmnTraining) -> Sgmn:
    """Return a net that is trained on stored maps: `train_sgmn` without its files."""
    seed_process(config.seed, ALONE)
    run = make_run(config, ALONE)
    net: Sgmn = run.model
    batches = batches_of(material, config)
    start_projection(run.model, batches, config)
    for batch in batch_loader(batches, 0, config.steps, config.workers):
        take_step(run, batch, config)
    net.eval()
    return net


def ship(material: Material, config: SgmnTraining, out: Path) -> None:
    """Train the net that is for use, in steps that can be gone on with; export it; print what it finds."""

    def validate(net: Sgmn) -> dict[str, float]:
        ranks = bench_ranks(material.bench, encode_bench(net, material.bench, material.maps), net.config.text_weight)
        found = recalls(ranks)
        print(json.dumps(rounded(found)), flush=True)
        return found

    net = train_sgmn(
        material.pairs,
        config,
        out,
        ALONE,
        data=material.data[:16],
        sights=material.maps,
        resume=True,
        validate=validate,
    )
    made = {"data": material.data[:16], "commit": code_commit(), "steps": str(config.steps)}
    export_sgmn(net, out / "exact", config.fit, made)
    pixels = Pixels(net.alignment.picture.side_px, config.net.frames, config.fit)
    in_eight_bits(out / "exact", out / "encoder", material.pairs, pixels)
    print(json.dumps(figures(material.bench, encode_bench(net, material.bench, material.maps), config.net)))


def in_eight_bits(exact: Path, out: Path, pairs: Sequence[ClipPair], pixels: Pixels) -> None:
    """Write the twin of an exported folder whose convolutions are in eight bits: a third as large, and faster."""
    rng = np.random.default_rng(0)
    seen: list[Image] = []
    for row in rng.choice(len(pairs), EIGHT_BIT_PAIRS, replace=False).tolist():
        frames, there = pixels.clip(pairs[row].clip)
        picture = pixels.picture(pairs[row].image)
        seen += [*frames[there][:3], *([] if picture is None else [picture])]
    batches = [np.stack(seen[first : first + 16]) for first in range(0, len(seen), 16)]
    shutil.copytree(exact, out)
    quantize(exact / "frames.onnx", out / "frames.onnx", batches, exact=("projection", "look"))
    manifest = read_manifest(exact)
    files = {**manifest.files, "frames.onnx": file_sha256(out / "frames.onnx")}
    (out / MANIFEST).write_text(replace(manifest, files=files).to_json(), encoding="utf-8")
    before, after = (run(folder / "frames.onnx", batches[0]) for folder in (exact, out))
    print(f"in eight bits: a cosine of {1 - largest_gap(before, after):.4f} at least to what it was")


def blended(nets: Sequence[Path], work: Path) -> Path:
    """Write the `last` net of the house encoder as runs/joined.py has it, and return its file, named by what it is."""
    encoder = blend(*map(load_last, nets), LAST_SHARE)
    work.mkdir(parents=True, exist_ok=True)
    draft = work / "start.part"
    torch.save(encoder.state_dict(), draft)
    return draft.replace(work / f"start-{file_sha256(draft)[:12]}.pt")


def batches_of(material: Material, config: SgmnTraining) -> ClipBatches:
    return make_batches(material.pairs, material.maps, config, ALONE)


def figures(bench: ClipBench, vectors: BenchVectors, net: SgmnConfig) -> dict[str, Any]:
    """Return the recalls of eq. 23, of its visual half, and of both on clips whose product is spoken of."""
    spoken = np.array([dict(clip.subsets).get("spoken_of") == "yes" for clip in bench.clips])
    ways = {"visual": bench_ranks(bench, vectors, 0.0)}
    if net.te:
        ways["visual and text"] = bench_ranks(bench, vectors, net.text_weight)
    return {
        way: {
            "all": rounded(recalls(ranks)),
            "spoken of": rounded(recalls(ranks, spoken)),
            "not spoken of": rounded(recalls(ranks, ~spoken)),
        }
        for way, ranks in ways.items()
    }


def rounded(found: Mapping[str, float]) -> dict[str, float]:
    return {name: round(100 * value, 2) for name, value in found.items()}


# ---- what all runs share -----------------------------------------------------------------------------------------


def prepare(root: Path, work: Path, config: SgmnTraining) -> Material:
    """Return the pairs, the bench and the maps of both, which are made where WORK lacks them."""
    notes: list[str] = []
    pairs, bench = read_composed_pairs(root, notes.append), read_composed_bench(root, notes.append)
    if notes:
        print(f"{len(notes)} rows cannot be read: {notes[0]}")
    data = str(read_composed_head(root)["fingerprint"])
    seen_by = f"{config.net.encoder}{config.net.frozen}-{config.net.side_px}-{config.fit}"
    name = f"{data[:12]}-{seen_by}-{Path(config.start).stem}"
    folder = work / name
    try:
        maps = StoredMaps(folder)
    except MediaError:
        look(folder, pairs, bench, config)
        maps = StoredMaps(folder)
    return Material([pairs[row] for row in range(len(pairs))], bench, maps, data)


def look(folder: Path, pairs: Sequence[ClipPair], bench: ClipBench, config: SgmnTraining) -> None:
    """Store the maps of all clips and shop images."""
    picture = make_run(config, ALONE).model.alignment.picture
    folder.mkdir(parents=True, exist_ok=True)
    session = open_trunk(picture, folder / "trunk.onnx")
    images = {pair.image.image_id: pair.image for pair in (pairs[row] for row in range(len(pairs)))} | bench.images
    clips = [*(pairs[row].clip for row in range(len(pairs))), *bench.clips]
    begun = time.monotonic()

    def see(pixels: Image) -> Floats:
        return np.asarray(session.run(None, {"pixels": pixels})[0])

    def update(done: int, of: int) -> None:
        if done % 100 == 0 or done == of:
            print(f"{done} of {of} clips seen, {time.monotonic() - begun:.0f} s", flush=True)

    store_maps(
        folder, clips, list(images.values()), Pixels(picture.side_px, config.net.frames, config.fit), see, update
    )


class Trunk(torch.nn.Module):  # type: ignore[misc]
    """The frozen part of a picture encoder, from pixels."""

    def __init__(self, picture: torch.nn.Module) -> None:
        super().__init__()
        self.picture = picture

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return its maps."""
        return self.picture.trunk(self.picture.prepare(pixels))


def open_trunk(picture: torch.nn.Module, path: Path) -> onnxruntime.InferenceSession:
    """Return the trunk as ONNX Runtime runs it: in a quarter of PyTorch's time."""
    pixels = torch.zeros((2, picture.side_px, picture.side_px, 3), dtype=torch.uint8)
    write_graph(Trunk(picture).eval(), {"pixels": pixels}, path, ["maps"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def switches_of(config: SgmnTraining) -> dict[str, Any]:
    """Return what tells two runs of the tables apart, so that a row which several tables have is run once."""
    net = config.net
    graphs = {name: getattr(net, name) for name in ("i2i", "v2v", "cross")} if net.gci else {}
    betas = {name: getattr(net, name) for name, used in (("beta1", net.gci), ("beta2", net.smf)) if used}
    rows = {"image_rows": net.image_rows} if net.gci and net.image_rows != SgmnConfig().image_rows else {}
    return {"te": net.te, "tmc": net.tmc, "gci": net.gci, "smf": net.smf, **graphs, **betas, **rows}


class Results:
    """The file of results: every run that was made, and the tables of their means, written after each run.

    rows: the key of each row's run. A file of other data or another number of steps is begun anew.
    """

    def __init__(self, path: Path, material: Material, training: SgmnTraining, rows: Mapping[str, str]) -> None:
        sizes = [len(gallery) for gallery in material.bench.galleries.values()]
        self._path, self._rows = path, rows
        self._head = {
            "title": "SGMN on composed clips: tables 5, 6 and 7 of the paper.",
            "protocol": f"{len(material.bench.clips)} clips of unseen products, ten frames each, against the "
            f"{min(sizes)} to {max(sizes)} products of their own live (`runs/composed_clips.py`, split by product); "
            f"{len(material.pairs)} clips to train on, {training.steps} steps of {training.pairs} pairs, frozen "
            "EfficientNet-Lite0 (ImageNet); R@k in percent, ties against the model; mean and standard deviation over "
            "seeds (`runs/sgmn.py`).",
            "data": material.data,
            "steps": training.steps,
        }
        old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        same = all(old.get(name) == self._head[name] for name in ("data", "steps"))
        self._runs: list[dict[str, Any]] = old.get("runs", []) if same else []

    def has(self, key: str, seed: int) -> bool:
        """Return whether a run was made already."""
        return any(run["key"] == key and run["seed"] == seed for run in self._runs)

    def add(self, name: str, key: str, seed: int, found: dict[str, Any]) -> None:
        """Write a run down, under another name first."""
        self._runs.append({"key": key, "seed": seed, "commit": code_commit(), **found})
        print(f"{name}, seed {seed}: {json.dumps(found)}", flush=True)
        tables = [{"row": row, **self._mean(row_key)} for row, row_key in self._rows.items()]
        document = {**self._head, "rows": tables, "runs": self._runs}
        draft = self._path.with_name(f".{self._path.name}.part")
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        draft.replace(self._path)

    def _mean(self, key: str) -> dict[str, Any]:
        """Return mean and deviation over seeds: of all clips as the model is used, and of both halves of table 7."""
        runs = [run for run in self._runs if run["key"] == key]
        found: dict[str, Any] = {"seeds": len(runs)}
        for name in ("R@1", "R@5", "R@10", "R@mean") if runs else ():
            found[name] = _spread([run.get("visual and text", run["visual"])["all"][name] for run in runs])
        for way in ("visual", "visual and text"):
            if runs and way in runs[0]:
                found[f"R@1 spoken of, {way}"] = _spread([run[way]["spoken of"]["R@1"] for run in runs])
        return found


def _spread(values: Sequence[float]) -> list[float]:
    """Return mean and standard deviation."""
    return [round(float(np.mean(values)), 2), round(float(np.std(values, ddof=min(1, len(values) - 1))), 2)]


if __name__ == "__main__":
    main()
