"""The supervisor with real processes: stand-ins for workers, each a few lines of Python."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from shopcue.server.settings import ServerSettings
from shopcue.server.supervisor import Supervisor

STEADY = """
import os, sys
(folder,) = sys.argv[1:]
open(f"{folder}/{os.getpid()}", "w").close()
sys.stdin.buffer.read()
"""
DEAF = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
(folder,) = sys.argv[1:]
open(f"{folder}/{os.getpid()}", "w").close()
time.sleep(60)
"""
SHORT_LIVED = """
import os, sys, time
(folder,) = sys.argv[1:]
open(f"{folder}/{time.monotonic()}", "w").close()
sys.exit(7)
"""


def until(holds: Callable[[], object], wait_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + wait_s
    while not holds():
        assert time.monotonic() < deadline_s, "it did not come to pass in time"
        time.sleep(0.02)


def running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@contextmanager
def supervised(folder: Path, script: str, workers: int = 2) -> Iterator[Supervisor]:
    def command(kind: str) -> Sequence[str]:
        return [sys.executable, "-c", script, str(folder)]

    supervisor = Supervisor(ServerSettings(folder, workers=workers), command)
    supervisor.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()


def born(folder: Path) -> set[int]:
    return {int(path.name) for path in folder.iterdir()}


def test_workers_are_started_and_stopped(tmp_path: Path) -> None:
    with supervised(tmp_path, STEADY) as supervisor:
        until(lambda: len(born(tmp_path)) == 3)
        assert supervisor.alive() == 3
        pids = born(tmp_path)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 4
    assert supervisor.alive() == 0
    assert not any(map(running, pids))


def test_a_killed_worker_is_replaced_and_the_others_are_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), supervised(tmp_path, STEADY) as supervisor:
        until(lambda: len(born(tmp_path)) == 3)
        before = born(tmp_path)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(born(tmp_path)) == 4 and supervisor.alive() == 3)
        assert {pid for pid in born(tmp_path) if running(pid)} == born(tmp_path) - {victim}
    assert f"worker {victim} for" in caplog.text
    assert "ended with -9" in caplog.text


def test_what_dies_at_once_is_tried_more_and_more_rarely(tmp_path: Path) -> None:
    with supervised(tmp_path, SHORT_LIVED, workers=1):
        until(lambda: len(list(tmp_path.iterdir())) >= 8)
        times = sorted(float(path.name) for path in tmp_path.iterdir())
    # two places (one for jobs, one for streams), each at about 0, 0, 1, 4 s
    assert times[-1] - times[0] > 3.5


def test_who_does_not_listen_is_killed_within_five_seconds(tmp_path: Path) -> None:
    with supervised(tmp_path, DEAF, workers=1):
        until(lambda: len(born(tmp_path)) == 2)
        pids, began_s = born(tmp_path), time.monotonic()
    assert time.monotonic() - began_s < 5
    assert not any(map(running, pids))


def test_workers_leave_when_their_server_is_killed(tmp_path: Path) -> None:
    parent = f"""
import sys, time
from pathlib import Path
from shopcue.server.settings import ServerSettings
from shopcue.server.supervisor import Supervisor
Supervisor(ServerSettings(Path(sys.argv[1])), lambda kind: [sys.executable, "-c", {STEADY!r}, sys.argv[1]]).start()
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", parent, str(tmp_path)]) as server:
        until(lambda: len(born(tmp_path)) == 2)
        server.kill()
    until(lambda: not any(map(running, born(tmp_path))))


def test_a_server_without_workers_has_none(tmp_path: Path) -> None:
    with supervised(tmp_path, STEADY, workers=0) as supervisor:
        time.sleep(0.3)
        assert supervisor.alive() == 0
        assert not born(tmp_path)


def test_a_command_that_does_not_exist_is_no_disaster(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor(ServerSettings(tmp_path), lambda kind: [str(tmp_path / "absent")])
    supervisor.start()
    until(lambda: "cannot be started" in caplog.text)
    assert supervisor.alive() == 0
    supervisor.stop()


def test_secrets_go_by_the_environment_and_the_rest_by_the_command_line(tmp_path: Path) -> None:
    out = tmp_path / "seen"
    show = "import os, sys; open(sys.argv[1], 'w').write(os.environ['SHOPCUE_DATABASE'] + os.environ['SHOPCUE_STORE'])"
    settings = ServerSettings(
        tmp_path,
        database="postgresql://u:secret@h/n",
        store="s3://b/p",
        allow_private=True,
        keep_hours=1.5,
        keep_gib=0.0,
    )
    supervisor = Supervisor(settings)
    line = supervisor._worker("jobs")
    kept = ["--keep-hours", "1.5", "--keep-gib", "0.0"]
    assert line[3:] == ["--data", str(tmp_path), "--kind", "jobs", "--lifeline", "--allow-private", *kept]
    supervisor = Supervisor(settings, lambda kind: [sys.executable, "-c", show, str(out)])
    supervisor.start()
    until(lambda: out.exists() and out.read_text())
    supervisor.stop()
    assert out.read_text() == "postgresql://u:secret@h/ns3://b/p"
