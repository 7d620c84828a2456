"""Looks into strangers' videos in a process of its own: a file that hangs or crashes a decoder costs a refusal."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from shopcue.errors import MediaError, ShopcueError

PATIENCE_S = 120.0


def probe_apart(path: Path, name: str, patience_s: float = PATIENCE_S) -> dict[str, float]:
    """Return duration_s, width and height of the video at `path`; raises MediaError, which calls the file `name`."""
    command = [sys.executable, "-m", "shopcue.server.probing", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=patience_s, check=False)  # noqa: S603 - our module
    except subprocess.TimeoutExpired:
        raise MediaError(
            f"{name} could not be read within {patience_s:g} s, expected a video that plays at once; convert it to MP4"
        ) from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise MediaError(f"{name} brings down what reads it; check that it plays, or convert it to MP4") from None
    if "error" in answer:
        raise MediaError(str(answer["error"]).replace(str(path), name))
    return {key: answer[key] for key in ("duration_s", "width", "height")}


def main(path: str) -> None:
    """Print what a video holds, or why it holds nothing, as one line of JSON."""
    from shopcue.sources.files import probe

    try:
        answer = asdict(probe(path))
    except ShopcueError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1])
