"""A checkpoint gives back what went in, whole or not at all, and runs nobody's code."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from shopcue.errors import OutputError, SettingsError, WeightsError  # noqa: E402
from shopcue.training import checkpoints  # noqa: E402
from shopcue.training.checkpoints import (  # noqa: E402
    Checkpoint,
    Run,
    check_resumable,
    code_commit,
    fingerprint_data,
    load_checkpoint,
    plain_config,
    save_checkpoint,
)
from shopcue.training.processes import Process  # noqa: E402

ALONE = Process(0, 1, torch.device("cpu"))
CONFIG = {"rate": 0.1, "sides": [1, 2]}


def make_run(seed: int) -> Run:
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    return Run(model, optimizer, scheduler, torch.amp.GradScaler("cpu", enabled=False), ALONE)


def train(run: Run, steps: int) -> None:
    for _ in range(steps):
        loss = run.model(torch.randn(6, 4)).square().sum()  # inputs and dropout both draw random numbers
        run.optimizer.zero_grad()
        loss.backward()
        run.optimizer.step()
        run.scheduler.step()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    run = make_run(0)
    train(run, 3)
    path = tmp_path / "run" / "last.pt"
    save_checkpoint(path, run.checkpoint("toy", 3, CONFIG, "feed"))
    return path


def test_a_resumed_run_is_the_uninterrupted_run_bit_for_bit(saved: Path) -> None:
    whole = make_run(0)
    train(whole, 6)
    resumed = make_run(1)  # another start: all of it must come out of the file
    assert resumed.restore(load_checkpoint(saved, "toy")) == 3
    train(resumed, 3)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name])
    assert whole.scheduler.get_last_lr() == resumed.scheduler.get_last_lr()
    assert torch.equal(torch.get_rng_state(), whole.checkpoint("toy", 6, {}, "").random[0]["cpu"])


def test_what_went_in_comes_out(saved: Path) -> None:
    checkpoint = load_checkpoint(saved)
    assert (checkpoint.kind, checkpoint.step, checkpoint.config, checkpoint.data) == ("toy", 3, CONFIG, "feed")
    assert checkpoint.commit == code_commit()
    assert [path.name for path in saved.parent.iterdir()] == ["last.pt"], "no draft stays"


def test_a_failed_write_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def fail(document: object, file: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OutputError, match="No space left"):
        save_checkpoint(saved, load_checkpoint(saved))
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["last.pt"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, saved: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot make the folder"):
        save_checkpoint(tmp_path / "file" / "last.pt", load_checkpoint(saved))


class Malice:
    """What a stranger would put into a pickle."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


def test_a_strangers_code_does_not_run(tmp_path: Path, saved: Path) -> None:
    document = torch.load(saved, weights_only=True)
    document["config"] = {"rate": Malice(tmp_path / "ran")}
    torch.save(document, saved)
    with pytest.raises(WeightsError, match="more than tensors"):
        load_checkpoint(saved)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_a_cut_file_is_one_line(saved: Path, keep: float) -> None:
    payload = saved.read_bytes()
    saved.write_bytes(payload[: keep if isinstance(keep, int) else int(keep * len(payload))])
    with pytest.raises(WeightsError) as caught:
        load_checkpoint(saved)
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_in_the_weights_is_found(saved: Path) -> None:
    weights = load_checkpoint(saved).model["0.weight"].numpy().tobytes()
    payload = saved.read_bytes()
    at = payload.index(weights)
    saved.write_bytes(payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :])
    with pytest.raises(WeightsError, match="is damaged at"):
        load_checkpoint(saved)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", bytes(50_000_000))
    with pytest.raises(WeightsError, match="unpacks to 50000000 bytes"):
        load_checkpoint(path)


def test_missing_other_and_foreign_files(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(WeightsError, match="No such file"):
        load_checkpoint(tmp_path / "none.pt")
    with pytest.raises(WeightsError, match="is a checkpoint of 'toy', expected one of 'other'"):
        load_checkpoint(saved, "other")
    torch.save({"weights": torch.zeros(2)}, tmp_path / "foreign.pt")
    with pytest.raises(WeightsError, match="no checkpoint of this version"):
        load_checkpoint(tmp_path / "foreign.pt")
    torch.save({**torch.load(saved, weights_only=True), "step": "three"}, saved)
    with pytest.raises(WeightsError, match="step is a str, expected a int"):
        load_checkpoint(saved)


def test_weights_of_another_net_do_not_load(saved: Path) -> None:
    run = dataclasses.replace(make_run(0), model=torch.nn.Linear(4, 2))
    with pytest.raises(WeightsError, match="do not fit this net"):
        run.restore(load_checkpoint(saved))


def test_resuming_refuses_another_config_other_data_and_other_processes(saved: Path) -> None:
    checkpoint = load_checkpoint(saved)
    check_resumable(saved, checkpoint, CONFIG, "feed")
    with pytest.raises(SettingsError, match=r"trained with rate = 0\.1, asked for is 0\.2"):
        check_resumable(saved, checkpoint, {**CONFIG, "rate": 0.2}, "feed")
    check_resumable(saved, checkpoint, {**CONFIG, "rate": 0.2}, "feed", free=("rate",))
    with pytest.raises(SettingsError, match="trained with steps = nothing"):
        check_resumable(saved, checkpoint, {**CONFIG, "steps": 4}, "feed")
    with pytest.raises(WeightsError, match="trained on data feed, these are food"):
        check_resumable(saved, checkpoint, CONFIG, "food")
    two = dataclasses.replace(checkpoint, random=checkpoint.random * 2)
    with pytest.raises(SettingsError, match="stopped with 2 processes, this one has 1"):
        make_run(0).restore(two)


def test_the_datas_name_is_the_same_in_any_order_and_another_for_other_data() -> None:
    assert fingerprint_data(["a", "b"]) == fingerprint_data(["b", "a"])
    assert len({fingerprint_data(lines) for lines in (["a", "b"], ["ab"], ["a"], ["a", "b", "b"])}) == 4


def test_a_config_becomes_plain_values() -> None:
    @dataclasses.dataclass
    class Config:
        rate: float
        sides: tuple[int, ...]
        folder: Path

    assert plain_config(Config(0.5, (1, 2), Path("a/b"))) == {"rate": 0.5, "sides": [1, 2], "folder": "a/b"}


def test_the_commit_is_gits_or_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = Path(checkpoints.__file__).resolve().parents[3]
    if (checkout / ".git").exists():
        head = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        assert code_commit().removesuffix("+") == head.stdout.strip()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert code_commit().startswith("shopcue ")


def test_a_checkpoint_needs_only_its_weights_and_its_origin(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    save_checkpoint(path, Checkpoint("toy", 0, {}, "", "", {"w": torch.ones(2)}))
    assert load_checkpoint(path, "toy").model["w"].tolist() == [1, 1]
