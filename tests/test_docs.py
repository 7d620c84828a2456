"""Nothing is undocumented: every command, every option and every setting stands on its page."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from shopcue.cli import app
from shopcue.settings import Settings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below a group, with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name), command


ALL = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command_and_option_is_on_its_page(words: tuple[str, ...]) -> None:
    page = (DOCS / f"{words[0]}.md").read_text(encoding="utf-8")
    assert f"shopcue {' '.join(words)}" in page
    for parameter in ALL[words].params:
        if parameter.param_type_name == "option" and parameter.name != "help":
            assert any(name in page for name in parameter.opts), f"{parameter.opts} of {words} is not documented"
            assert parameter.help, f"{parameter.opts} of {words} has no help"
    assert ALL[words].help, f"{words} has no help"


def test_every_page_is_in_the_contents_and_every_link_leads_somewhere() -> None:
    contents = (DOCS / "README.md").read_text(encoding="utf-8")
    for page in DOCS.glob("*.md"):
        if page.name != "README.md":
            assert f"({page.name})" in contents
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert target.startswith("http") or (DOCS / target).exists(), f"{page.name} links to {target}"


def test_every_setting_is_documented_with_its_default() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    for table, keys in dataclasses.asdict(Settings()).items():
        assert f"[{table}]" in page
        for key, value in keys.items():
            shown = f'"{value}"' if isinstance(value, str) else str(value)
            assert re.search(rf"^{key} = {re.escape(shown)}\s", page, re.MULTILINE), f"{table}.{key} = {shown}"


def test_the_changelog_knows_this_version() -> None:
    import shopcue

    assert f"## {shopcue.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_readme_names_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme


def test_the_figures_of_the_readme_are_those_that_were_measured() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "runs" / "figures.py"), "--check"], check=False)
    assert done.returncode == 0, "run runs/figures.py: the table is never edited by hand"
