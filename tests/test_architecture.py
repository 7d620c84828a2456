"""The two guards of the layering: imports point down only, and a bare import stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import shopcue

SOURCE = Path(shopcue.__file__).parent

LAYERS = (
    {"errors", "records", "geometry"},
    {"tracking", "picking", "mentions", "matching", "focusing", "announcing", "metrics"},
    {"sources", "speech", "listening", "models", "catalog", "database", "data", "nets", "weights"},
    {
        "training",
        "evaluation",
        "explaining",
        "looking",
        "trace",
        "pipeline",
        "methods",
        "engine",
        "cluster",
        "settings",
        "learning",
        "protocols",
    },
    {
        "exports",
        "explanations",
        "standalone",
        "report",
        "progress",
        "commands",
        "stores",
        "watching",
        "server",
        "cli",
        "cli_catalogs",
        "__init__",
        "__main__",
    },
)
LAYER_OF = {name: layer for layer, names in enumerate(LAYERS) for name in names}

RULES_MAY_IMPORT = {"numpy", "scipy", "shopcue"} | set(sys.stdlib_module_names)
RULES_MUST_NOT = {"io", "os", "pathlib", "random", "socket", "subprocess", "time", "tempfile", "shutil", "datetime"}
"""Rules have no files, no clock and no hidden randomness."""

TRAINING_ONLY = {"nets", "training", "learning"}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def unit(path: Path) -> str:
    """The name that the folder listing shows: `tracking` for tracking/kalman.py, `records` for records.py."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it, with dots."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_down_only(path: Path) -> None:
    here = unit(path)
    assert here in LAYER_OF, f"{here} has no layer: say in which one it lives"
    for name in imported(path):
        first, *rest = name.split(".")
        if first != "shopcue" or not rest or rest[0] not in LAYER_OF:
            continue
        there = rest[0]
        assert there == here or LAYER_OF[there] <= LAYER_OF[here], f"{here} imports {there}, which stands above it"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_words_and_rules_are_numpy_and_scipy_alone(path: Path) -> None:
    if LAYER_OF[unit(path)] > 1:
        return
    outside = {name.split(".")[0] for name in imported(path)}
    assert outside <= RULES_MAY_IMPORT
    assert not outside & RULES_MUST_NOT


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_inference_never_imports_torch(path: Path) -> None:
    if unit(path) not in TRAINING_ONLY:
        assert "torch" not in {name.split(".")[0] for name in imported(path)}
        assert not any(name.startswith(("shopcue.nets", "shopcue.training")) for name in imported(path))


def test_a_bare_import_is_light() -> None:
    heavy = ["torch", "av", "lancedb", "fastapi", "cv2", "onnxruntime", "scipy", "PIL", "typer", "faster_whisper"]
    code = f"import sys, shopcue; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_junk_drawers() -> None:
    banned = {"utils", "common", "helpers", "core", "base", "manager"}
    assert not {p.stem for p in SOURCE.rglob("*") if p.suffix == ".py" or p.is_dir()} & banned
