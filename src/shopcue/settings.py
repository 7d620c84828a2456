"""One TOML file whose tables are the arguments of the constructors; an unknown key is an error that names the nearest.

There is no list of options to keep in step: each table is a frozen dataclass, and its fields, types and defaults are
what may stand in the file.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from shopcue.errors import SettingsError

T = TypeVar("T")


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise SettingsError(f"{name} is {value}, expected a number from {low} to {high}")


@dataclasses.dataclass(frozen=True, slots=True)
class Sampling:
    """How frames are taken from a video: rate_hz moments a second, shrunk to max_side_px on the longer side."""

    rate_hz: float = 2.0
    max_side_px: int = 640

    def __post_init__(self) -> None:
        _within("sampling.rate_hz", self.rate_hz, 0.05, 60)
        _within("sampling.max_side_px", self.max_side_px, 64, 4096)


@dataclasses.dataclass(frozen=True, slots=True)
class Matching:
    """How pictures and words become one score.

    text_weight: λ of visual + λ·text, in units of the shipped calibration. verify: how many of the best candidates of a
    moment are looked at with local features, 0 turns it off; verify_every_s: for how long what they find stands.
    clip_reach_s: the one-stage method compares what is seen up to so long before and after a moment as one clip.
    """

    text_weight: float = 1.0
    comment_weight: float = 1.0
    verify: int = 10
    verify_every_s: float = 1.5
    clip_reach_s: float = 1.0

    def __post_init__(self) -> None:
        _within("matching.text_weight", self.text_weight, 0, 100)
        _within("matching.comment_weight", self.comment_weight, 0, 100)
        _within("matching.verify", self.verify, 0, 100)
        _within("matching.verify_every_s", self.verify_every_s, 0, 60)
        _within("matching.clip_reach_s", self.clip_reach_s, 0, 10)


@dataclasses.dataclass(frozen=True, slots=True)
class Tracking:
    """How the two-stage method follows things.

    Of each stretch_s seconds of a tracklet the best view is picked and embedded, every verify_every_s one is verified,
    a pick counts for the moments of its tracklet up to reach_s away, and at most `most` things of a frame are looked
    at.
    """

    stretch_s: float = 1.5
    verify_every_s: float = 3.0
    reach_s: float = 1.6
    most: int = 3

    def __post_init__(self) -> None:
        _within("tracking.stretch_s", self.stretch_s, 0, 10)
        _within("tracking.verify_every_s", self.verify_every_s, 0, 60)
        _within("tracking.reach_s", self.reach_s, 0, 10)
        _within("tracking.most", self.most, 1, 50)


@dataclasses.dataclass(frozen=True, slots=True)
class Focusing:
    """How matches become focuses: the arguments of `focusing.Focuser`."""

    switch_nats: float = 18.0
    max_delay_s: float = 120.0
    alternatives: int = 4

    def __post_init__(self) -> None:
        _within("focusing.switch_nats", self.switch_nats, 0, 1000)
        _within("focusing.max_delay_s", self.max_delay_s, 0, 3600)
        _within("focusing.alternatives", self.alternatives, 0, 100)


@dataclasses.dataclass(frozen=True, slots=True)
class Models:
    """Which networks are used: image is a name or the path of an ONNX file, detector a name, clips house or the folder
    of a clip encoder; threads 0 means one for each core."""

    image: str = "house"
    detector: str = "house"
    clips: str = "house"
    threads: int = 0

    def __post_init__(self) -> None:
        _within("models.threads", self.threads, 0, 1024)


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """All tables of a configuration file."""

    sampling: Sampling = Sampling()
    matching: Matching = Matching()
    tracking: Tracking = Tracking()
    focusing: Focusing = Focusing()
    models: Models = Models()


def read_settings(path: Path) -> Settings:
    """Return the settings in a TOML file; what it leaves out keeps its default.

    Raises SettingsError for a file that cannot be read, an unknown table or key, or a value of the wrong type or range.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"cannot read the configuration {path}: {error.strerror}; give the path of a TOML file"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not a TOML file: {error}; see docs/configuration.md") from error
    return from_tables(tables)


def from_tables(tables: dict[str, Any]) -> Settings:
    """Return the settings in tables as TOML gives them: {table: {key: value}}."""
    kinds = get_type_hints(Settings)
    for name, values in tables.items():
        _known(name, list(kinds), "table")
        if not isinstance(values, dict):
            raise SettingsError(f"{name} is {values!r}, expected a table: write [{name}] above its keys")
    return Settings(**{name: _table(name, kinds[name], values) for name, values in tables.items()})


def _table(name: str, kind: type[T], values: dict[str, Any]) -> T:
    types = get_type_hints(kind)
    for key, value in values.items():
        _known(f"{name}.{key}", [f"{name}.{field}" for field in types], "key")
        want = types[key]
        fits = type(value) is want or (want is float and type(value) is int)
        if not fits:
            raise SettingsError(f"{name}.{key} is {value!r}, expected a value of type {want.__name__}")
    return kind(**values)


def _known(name: str, names: list[str], what: str) -> None:
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(names)}"
        raise SettingsError(f"unknown {what} {name!r} in the configuration; {hint}")
