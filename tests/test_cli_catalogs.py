"""`shopcue catalog ...` and shops in stores, as a user meets them."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from test_cli import Run, refused

pytest.importorskip("lancedb", reason="the extra `store` is not installed")

from shopcue import cli, stores
from shopcue.catalog.exact import build_gallery
from shopcue.catalog.feeds import read_feed
from shopcue.catalog.store import open_store
from shopcue.methods import make_encoder
from shopcue.settings import Models


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        code = cli.main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return code, out, err

    return call


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = ["id,title,image_link,category"]
    for name in ("red", "blue", "绿色"):
        pixels = np.kron(rng.integers(0, 255, (6, 4, 3)), np.ones((20, 20, 1))).astype(np.uint8)
        (folder / "images" / f"{name}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        lines.append(f"{name},The {name} one,images/{name}.png,Things > {name}")
    lines.append("bad,A bad one,images/none.png,")
    file = folder / "catalog.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.fixture
def store(run: Run, feed: Path, tmp_path: Path) -> str:
    uri = str(tmp_path / "store")
    assert run("catalog", "import", feed, "--store", uri, "--shop", "mine")[0] == 0
    return uri


def test_import_reports_and_list_shows(run: Run, feed: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    code, out, err = run("catalog", "import", feed, "--store", store, "--shop", "mine")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith("refused  row 5  bad: no usable picture: none.png cannot be read")
    assert out.splitlines()[1:] == ["3 ok, 0 partial, 1 refused"]
    code, again, _ = run("catalog", "import", feed, "--store", store, "--shop", "mine", "--json")
    assert [json.loads(line)["status"] for line in again.splitlines()] == ["ok", "ok", "ok", "refused"]
    _, out, _ = run("catalog", "list", "--store", store)
    assert out.split()[:5] == ["mine", "3", "products", "3", "pictures"]
    _, out, _ = run("catalog", "list", "--store", store, "--shop", "mine", "--q", "one", "--category", "Things > red")
    assert out == "red\t\tThe red one\n"
    _, out, _ = run("catalog", "list", "--store", store, "--shop", "mine", "--q", "绿", "--json")
    assert json.loads(out)["product_id"] == "绿色"
    _, out, _ = run("catalog", "list", "--store", store, "--json")
    assert json.loads(out) == {
        "shop": "mine", "products": 3, "pictures": 3, "encoder": make_encoder(Models()).fingerprint,
    }  # fmt: skip


def test_a_zip_is_imported_as_its_feed(run: Run, feed: Path, tmp_path: Path) -> None:
    packed = tmp_path / "feed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in feed.parent.rglob("*.*"):
            archive.write(path, path.relative_to(feed.parent))
    code, out, _ = run("catalog", "import", packed, "--store", tmp_path / "store", "--shop", "mine")
    assert code == 0
    assert out.splitlines()[-1] == "3 ok, 0 partial, 1 refused"
    assert not list(tmp_path.glob("shopcue-feed-*"))


def test_remove(run: Run, store: str, feed: Path) -> None:
    assert run("catalog", "remove", "red", "none", "red", "--store", store, "--shop", "mine")[1] == (
        "removed 1 of 2 products\n"
    )
    assert [p.product_id for p in stores.list_products(store, "mine")] == ["blue", "绿色"]
    code, out, _ = run("catalog", "remove", "--all", "--store", store, "--shop", "mine")
    assert (code, out) == (0, "removed the shop mine\n")
    assert run("catalog", "list", "--store", store)[1] == ""
    refused(run("catalog", "remove", "--store", store, "--shop", "mine"), "--all")
    refused(run("catalog", "remove", "x", "--all", "--store", store, "--shop", "mine"), "--all")
    refused(run("catalog", "remove", "x", "--store", store, "--shop", "mine"), "no shop 'mine'", "none")


def test_missing_products_go_when_they_are_told_to(run: Run, store: str, feed: Path) -> None:
    feed.write_text("id,title,image_link\nred,Redder,images/red.png\n")
    base = ("catalog", "import", feed, "--store", store, "--shop", "mine")
    run(*base)
    assert len(list(stores.list_products(store, "mine"))) == 3
    run(*base, "--delete-missing")
    assert [(p.product_id, p.title) for p in stores.list_products(store, "mine")] == [("red", "Redder")]


def test_search_and_match_in_a_store_are_those_in_the_feed(
    run: Run, store: str, feed: Path, make_video: Callable[..., Path], tmp_path: Path
) -> None:
    photo = feed.parent / "images" / "blue.png"
    _, by_feed, _ = run("search", photo, "--catalog", feed, "--json")
    code, by_store, _ = run("search", photo, "--catalog", store, "--shop", "mine", "--json")
    assert code == 0
    one, other = ({r["product_id"]: r["score"] for r in json.loads(out)["results"]} for out in (by_feed, by_store))
    assert one == pytest.approx(other, abs=0.02)
    assert next(iter(other)) == "blue"
    encoder = make_encoder(Models())
    gallery, _ = build_gallery(read_feed(feed), encoder)
    assert np.array_equal(gallery.vectors, stores.on_air(store, "mine", encoder).gallery.vectors)
    video = make_video("clip.mp4")
    out = tmp_path / "out"
    code, _, _ = run("match", video, "--catalog", store, "--shop", "mine", "--out", out, "--speech", "none")
    assert code == 0
    assert (out / "focuses.json").exists()
    # The clip encoder's vectors are not in the store: they are made of the pictures that it keeps.
    clip = ("search", video, "--speech", "none", "--json", "--catalog")
    code, by_store, _ = run(*clip, store, "--shop", "mine")
    assert code == 0
    one, other = (
        {r["product_id"]: r["score"] for r in json.loads(out)["results"]} for out in (run(*clip, feed)[1], by_store)
    )
    assert one == pytest.approx(other, abs=0.05)


def test_reindex_after_another_encoder(run: Run, store: str, feed: Path) -> None:
    opened = open_store(store)
    items = opened.embedded("mine", ["red", "blue", "绿色"])
    opened.drop_shop("mine")
    opened.upsert("mine", items, "an-older-encoder")
    photo = feed.parent / "images" / "blue.png"
    refused(
        run("search", photo, "--catalog", store, "--shop", "mine"),
        "an-older-encoder", f"shopcue catalog reindex --store {store} --shop mine",
    )  # fmt: skip
    refused(run("catalog", "import", feed, "--store", store, "--shop", "mine"), "shopcue catalog reindex")
    assert run("catalog", "reindex", "--store", store, "--shop", "mine") == (0, "", "")
    code, out, _ = run("search", photo, "--catalog", store, "--shop", "mine", "-k", 1)
    assert code == 0
    assert "blue" in out


def test_what_cannot_be_used(run: Run, store: str, feed: Path, tmp_path: Path) -> None:
    photo = feed.parent / "images" / "red.png"
    refused(run("search", photo, "--catalog", store), "is a catalogue store", "--shop")
    refused(run("search", photo, "--catalog", "s3://bucket/shops"), "is a catalogue store", "--shop")
    refused(run("search", photo, "--catalog", store, "--shop", "other"), "no shop 'other'", "mine")
    refused(run("search", photo, "--catalog", feed, "--shop", "mine"), "no catalogue store")
    refused(run("catalog", "list", "--store", tmp_path / "absent"), "no catalogue store")
    refused(run("catalog", "list", "--store", store, "--shop", "../x"), "expected up to 63")
    refused(run("catalog", "reindex", "--store", tmp_path / "absent", "--shop", "mine"), "no catalogue store")
    refused(run("catalog", "import", tmp_path / "none.csv", "--store", tmp_path / "new", "--shop", "a"), "none.csv")
    refused(run("catalog", "import", feed, "--store", tmp_path / "new", "--shop", "No Name"), "expected up to 63")
    refused(run("catalog", "import", feed, "--store", tmp_path / "new"), "--shop")
    feed.write_text("id,title,image_link\na,A,images/none.png\n")
    code, out, err = run("catalog", "import", feed, "--store", store, "--shop", "mine")
    assert (code, out.startswith("refused")) == (2, True)
    assert err.startswith("error: the feed has no product with a usable picture: row 2 a")
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "absent").exists()


def test_without_the_extra_all_else_works(feed: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfor name in ('lancedb', 'pyarrow'): sys.modules[name] = None\n"
        "from shopcue.cli import main\nsys.exit(main(sys.argv[1:]))"
    )

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = call("catalog", "import", feed, "--store", tmp_path / "store", "--shop", "mine")
    assert done.returncode == 2
    assert "pip install 'shopcue[store]'" in done.stderr
    done = call("search", feed.parent / "images" / "red.png", "--catalog", feed, "-k", 1)
    assert done.returncode == 0
    assert "red" in done.stdout
