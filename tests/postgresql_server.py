"""A PostgreSQL server of the tests' own: a fresh cluster in a temporary folder, reached by its socket alone."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgresql_server() -> Iterator[str]:
    """Run a server and give the address of its database `postgres`; skips where PostgreSQL is not installed."""
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed: pip install psycopg")
    initdb, postgres = _program("initdb"), _program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    user = _unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="shopcue-pg-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        cluster = [str(initdb), "-D", str(folder / "data"), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"]
        done = subprocess.run(cluster, user=user, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        # Nothing here outlives a power cut, so nothing need wait for the disk.
        options = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=60", "-k", str(folder)]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [str(postgres), "-D", str(folder / "data"), *options], user=user, cwd=folder, stdout=log, stderr=log
            )
        try:
            yield _await(server, folder)
        finally:
            server.send_signal(signal.SIGQUIT)  # at once: nothing of it is needed again
            server.wait(60)
    finally:
        shutil.rmtree(folder)


def _program(name: str) -> Path | None:
    found = shutil.which(name)
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))  # not on Debian's PATH
    return Path(found) if found else debian[-1] if debian else None


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root: the user that it is to run as, None for this one."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _await(server: subprocess.Popen[bytes], folder: Path) -> str:
    import psycopg

    for _ in range(300):
        assert server.poll() is None, (folder / "log").read_text()
        try:
            psycopg.connect(host=str(folder), user="postgres", dbname="postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return f"postgresql://postgres@/postgres?host={folder}"
    raise AssertionError((folder / "log").read_text())
