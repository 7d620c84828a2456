"""What a training run leaves behind, so that it can go on after a kill and its net can be used and traced.

A checkpoint is one file of tensors and plain values: weights, optimizer, scheduler, random states, step, config, the
fingerprint of the data and the commit. It is read with PyTorch's restricted loader: a stranger's file cannot run code.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

import shopcue
from shopcue.errors import OutputError, SettingsError, WeightsError
from shopcue.training.curves import Curves
from shopcue.training.processes import Process, gather_rows, wait_for_all

SCHEMA = "shopcue.checkpoint/1"
CHECKPOINT = "last.pt"
FREE = ("workers", "save_every", "report_every")
"""What may differ when a run goes on: it changes no weight."""
_SLACK_BYTES = 1 << 20  # headers of a zip's entries, which its uncompressed sizes leave out


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A training run at rest after `step` steps.

    kind: which net and loop it is of. model, optimizer, scheduler, scaler: their state dicts. random: a state of the
    random generators for each process. config: plain values. data: the fingerprint of the data. commit: of the code.
    """

    kind: str
    step: int
    config: dict[str, Any]
    data: str
    commit: str
    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any] = field(default_factory=dict)
    scheduler: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)
    random: list[dict[str, torch.Tensor]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Run:
    """The moving parts of a training run, which a checkpoint is taken of and put back into.

    model: the net itself, not what wraps it for several processes. scaler: of the gradients, off where not needed.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    scaler: torch.amp.GradScaler
    process: Process

    def checkpoint(self, kind: str, step: int, config: Mapping[str, Any], data: str) -> Checkpoint:
        """Return the run as it stands after `step` steps; every process must call it."""
        return Checkpoint(
            kind=kind,
            step=step,
            config=dict(config),
            data=data,
            commit=code_commit(),
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            scheduler=self.scheduler.state_dict(),
            scaler=self.scaler.state_dict(),
            random=random_states(self.process),
        )

    def restore(self, checkpoint: Checkpoint) -> int:
        """Put `checkpoint` back, random states included, and return the number of steps that it has behind it."""
        load_weights(self.model, checkpoint)
        try:
            self.optimizer.load_state_dict(checkpoint.optimizer)
            self.scheduler.load_state_dict(checkpoint.scheduler)
            self.scaler.load_state_dict(checkpoint.scaler)
        except (KeyError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"the checkpoint's optimizer does not fit this run ({error}); resume with the code that wrote it"
            ) from error
        set_random_state(checkpoint.random, self.process)
        return checkpoint.step


# ---- files -----------------------------------------------------------------------------------------------------


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` to `path`: under another name first, so that a kill leaves the old file or the new one.

    Of several processes, one writes. Raises OutputError where the folder cannot be written.
    """
    document = {each.name: getattr(checkpoint, each.name) for each in fields(checkpoint)}
    draft = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path.parent} ({error.strerror}); give another one") from error
    try:
        with draft.open("wb") as file:
            torch.save({"schema": SCHEMA, **document}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except (OSError, RuntimeError) as error:  # a full disk comes as RuntimeError out of PyTorch's writer
        draft.unlink(missing_ok=True)
        raise OutputError(f"cannot write the checkpoint {path} ({error}); give a folder with room") from error


def save_run(
    path: Path,
    run: Run,
    checkpoint: Checkpoint,
    curves: Curves | None = None,
    measure: Callable[[], Mapping[str, float]] | None = None,
) -> None:
    """Write the curves, with what is measured of the net now, then the checkpoint; one process does, others wait."""
    if run.process.is_first:
        if curves is not None:
            if measure is not None:
                run.model.eval()
                curves.note(measure())
            curves.write()
        save_checkpoint(path, checkpoint)
    wait_for_all(run.process)


def load_checkpoint(path: Path, kind: str | None = None) -> Checkpoint:
    """Return the checkpoint in `path`, its tensors in main memory.

    kind: what it must be of, anything where None. Raises WeightsError where the file is missing, damaged, no checkpoint
    of ours, of another kind, or holds anything but tensors and plain values.
    """
    _check_archive(path)
    try:
        document = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).strip().split("\n")[0]
        raise WeightsError(
            f"{path} is damaged or holds more than tensors and plain values ({reason}); give a checkpoint of Shopcue"
        ) from error
    names = {each.name for each in fields(Checkpoint)}
    if not isinstance(document, dict) or document.get("schema") != SCHEMA or names - document.keys():
        raise WeightsError(f"{path} is no checkpoint of this version; expected one that says {SCHEMA!r}")
    checkpoint = Checkpoint(**{name: document[name] for name in names})
    _check_types(path, checkpoint)
    if kind is not None and checkpoint.kind != kind:
        raise WeightsError(f"{path} is a checkpoint of {checkpoint.kind!r}, expected one of {kind!r}")
    return checkpoint


def load_weights(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Put the weights of `checkpoint` into `model`; raises WeightsError where they do not fit."""
    try:
        model.load_state_dict(checkpoint.model)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"the checkpoint's weights do not fit this net ({reason}); use its own config") from error


def checkpoint_path(out: Path, *, resume: bool) -> Path:
    """Return where a run in `out` is saved; raises OutputError where one is already that is not to be resumed."""
    path = out / CHECKPOINT
    if path.exists() and not resume:
        raise OutputError(f"{out} holds a training already; resume it, or give another folder")
    return path


def check_resumable(
    path: Path, checkpoint: Checkpoint, config: Mapping[str, Any], data: str, free: Collection[str] = ()
) -> None:
    """Raise unless a run of `config` on `data` may go on from `checkpoint`; keys in `free` may differ.

    SettingsError names the first key that differs; WeightsError says that the data are others.
    """
    missing = object()
    for key in sorted({*config, *checkpoint.config} - set(free)):
        now, then = config.get(key, missing), checkpoint.config.get(key, missing)
        if now != then:
            was, wanted = ("nothing" if value is missing else repr(value) for value in (then, now))
            raise SettingsError(
                f"{path} was trained with {key} = {was}, asked for is {wanted}; resume with the same config, "
                "or start anew in another folder"
            )
    if checkpoint.data != data:
        raise WeightsError(
            f"{path} was trained on data {checkpoint.data}, these are {data}; resume on the same files, "
            "or start anew in another folder"
        )


# ---- what a run is traced by -------------------------------------------------------------------------------------


def plain_config(config: Any) -> dict[str, Any]:
    """Return a config dataclass as plain values that a checkpoint holds: tuples become lists, paths become texts."""
    return {key: _plain(value) for key, value in asdict(config).items()}


def fingerprint_data(lines: Iterable[str]) -> str:
    """Return what names a data set: 16 hex digits of the SHA-256 of its lines, in any order."""
    digest = hashlib.sha256()
    for line in sorted(lines):
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()[:16]


def code_commit() -> str:
    """Return the commit of the checkout that the package lies in, '+' after it where files differ; else its version."""
    checkout, git = Path(__file__).resolve().parents[3], shutil.which("git")
    # Installed packages may lie inside somebody else's repository, whose commit says nothing about us.
    if git is None or not (checkout / ".git").exists():
        return f"shopcue {shopcue.__version__}"
    try:
        commit = _ask(git, checkout, "rev-parse", "HEAD")
        changed = _ask(git, checkout, "status", "--porcelain", "--untracked-files=no", "--", "src")
    except (OSError, subprocess.SubprocessError):
        return f"shopcue {shopcue.__version__}"
    return commit + ("+" if changed else "")


# ---- randomness -----------------------------------------------------------------------------------------------------


def random_states(process: Process) -> list[dict[str, torch.Tensor]]:
    """Return the states of PyTorch's generators, one dict for each process; every process must call it."""
    state = {"cpu": torch.get_rng_state()}
    if process.device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(process.device)
    rows = {name: gather_rows(value[None].to(process.device), process).cpu() for name, value in state.items()}
    return [{name: rows[name][rank].clone() for name in rows} for rank in range(process.count)]


def set_random_state(states: list[dict[str, torch.Tensor]], process: Process) -> None:
    """Put this process's generators back; raises SettingsError where the run had another number of processes."""
    if len(states) != process.count:
        raise SettingsError(
            f"the run was stopped with {len(states)} processes, this one has {process.count}; resume with as many"
        )
    state = states[process.rank]
    torch.set_rng_state(state["cpu"])
    if process.device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], process.device)


def _ask(git: str, checkout: Path, *arguments: str) -> str:
    command = [git, "-C", str(checkout), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    return done.stdout.strip()


def _check_archive(path: Path) -> None:
    """Raise unless `path` is a zip as PyTorch writes it: no larger inside than outside, all checksums right."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = sum(entry.file_size for entry in archive.infolist())
            if inside > path.stat().st_size + _SLACK_BYTES:
                raise WeightsError(f"{path} unpacks to {inside} bytes; expected a checkpoint, which is not compressed")
            damaged = archive.testzip()  # PyTorch's own reader takes a flipped bit for a weight
        if damaged is not None:
            raise WeightsError(f"{path} is damaged at {damaged}; give the file of a training")
    except OSError as error:
        raise WeightsError(f"cannot read the checkpoint {path}: {error.strerror}; give a file of a training") from error
    except (zipfile.BadZipFile, ValueError) as error:
        raise WeightsError(f"{path} is no checkpoint or is cut off ({error}); give the file of a training") from error


def _check_types(path: Path, checkpoint: Checkpoint) -> None:
    """Raise unless every part is of the kind that its name promises."""
    wanted: dict[str, type] = {"kind": str, "step": int, "data": str, "commit": str, "random": list}
    for each in fields(checkpoint):
        want, value = wanted.get(each.name, dict), getattr(checkpoint, each.name)
        if not isinstance(value, want):
            raise WeightsError(f"{path}: {each.name} is a {type(value).__name__}, expected a {want.__name__}")
    if not all(isinstance(value, torch.Tensor) for value in checkpoint.model.values()):
        raise WeightsError(f"{path}: the weights hold something else than tensors; give a checkpoint of Shopcue")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
