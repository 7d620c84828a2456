"""Configuration files: every key arrives, and a wrong one is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from shopcue.errors import SettingsError
from shopcue.settings import Settings, from_tables, read_settings


def test_every_key_of_every_table_can_be_set(tmp_path: Path) -> None:
    defaults = dataclasses.asdict(Settings())
    changed = {
        table: {k: (v + 1 if isinstance(v, int | float) else v + "x") for k, v in keys.items()}
        for table, keys in defaults.items()
    }
    lines = []
    for table, keys in changed.items():
        lines += [f"[{table}]"] + [f"{k} = {v!r}".replace("'", '"') for k, v in keys.items()]
    file = tmp_path / "shopcue.toml"
    file.write_text("\n".join(lines))
    assert dataclasses.asdict(read_settings(file)) == changed
    assert read_settings(_empty(tmp_path)) == Settings()


def _empty(folder: Path) -> Path:
    file = folder / "empty.toml"
    file.write_text("")
    return file


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"focusing": {"swich_nats": 3}}, "did you mean 'focusing.switch_nats'"),
        ({"focussing": {}}, "did you mean 'focusing'"),
        ({"zzz": {}}, "expected one of sampling, matching, tracking, focusing, models"),
        ({"sampling": {"rate_hz": "two"}}, "sampling.rate_hz is 'two', expected a value of type float"),
        ({"sampling": {"max_side_px": True}}, "expected a value of type int"),
        ({"sampling": {"rate_hz": 0}}, "sampling.rate_hz is 0, expected a number from 0.05 to 60"),
        ({"sampling": {"rate_hz": float("nan")}}, "rate_hz is nan"),
        ({"sampling": 3}, r"write \[sampling\]"),
    ],
)
def test_what_is_wrong_is_named(tables: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        from_tables(tables)


def test_a_file_that_is_no_toml_or_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("[sampling\nrate")
    with pytest.raises(SettingsError, match="not a TOML file"):
        read_settings(file)
    with pytest.raises(SettingsError, match="cannot read the configuration"):
        read_settings(tmp_path / "absent.toml")
