"""Archives of feeds: what comes out, and what hostile ones cannot do."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage

from shopcue.catalog import archives
from shopcue.catalog.archives import is_archive, unpack
from shopcue.catalog.feeds import read_feed
from shopcue.catalog.pictures import load_picture
from shopcue.errors import FeedError, MediaError

CSV = "id,title,image_link\na,A thing,images/a.png\n"


def png() -> bytes:
    out = io.BytesIO()
    PilImage.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(out, "PNG")
    return out.getvalue()


def pack(path: Path, files: Mapping[Any, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_feed_and_its_pictures_come_out_as_they_went_in(tmp_path: Path) -> None:
    files = {"shop/catalog.csv": CSV, "shop/README.txt": "read me", "shop/run.sh": "rm"}
    packed = pack(tmp_path / "feed.zip", {**files, "shop/images/a.png": png()})
    assert is_archive(packed)
    found = unpack(packed, tmp_path / "out")
    assert found == tmp_path / "out" / "shop" / "catalog.csv"
    assert everything(tmp_path / "out") == {"shop/catalog.csv", "shop/images/a.png", "shop/README.txt"}
    feed = read_feed(found)
    assert load_picture(feed.products[0].images[0], feed.folder).image.shape == (8, 8, 3)
    assert {path.name for path in tmp_path.iterdir()} == {"feed.zip", "out"}


def test_pictures_without_a_feed_are_a_feed(tmp_path: Path) -> None:
    files = {
        "deep/shop/red-cup.png": png(),
        "deep/shop/mug/1.png": png(),
        "__MACOSX/deep/._x.png": b"",
        ".a/b.png": b"",
    }
    found = unpack(pack(tmp_path / "pictures.zip", files), tmp_path / "out")
    assert [product.product_id for product in read_feed(found).products] == ["mug", "red-cup"]


def test_what_was_unpacked_is_not_unpacked_again(tmp_path: Path) -> None:
    packed = pack(tmp_path / "feed.zip", {"catalog.csv": CSV})
    first = unpack(packed, tmp_path / "out")
    packed.unlink()
    assert unpack(packed, tmp_path / "out") == first


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_compression_that_python_knows(tmp_path: Path, method: int) -> None:
    found = unpack(pack(tmp_path / "feed.zip", {"catalog.csv": CSV}, method), tmp_path / "out")
    assert found.read_text() == CSV


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "cp437"])
def test_names_whose_encoding_nobody_says(tmp_path: Path, encoding: str) -> None:
    name = "été.png" if encoding == "cp437" else "红色连衣裙.png"
    raw = name.encode(encoding)
    packed = pack(tmp_path / "feed.zip", {"x" * len(raw): png()})
    packed.write_bytes(packed.read_bytes().replace(b"x" * len(raw), raw))
    # The name has lost its ending while it was packed under another one; it comes back with the bytes.
    unpack(packed, tmp_path / "out")
    assert everything(tmp_path / "out") == {name}


# ---- hostile -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../out.csv", "a/../../out.csv", "/tmp/out.csv", "\\\\host\\out.csv", "..\\out.csv", "C:\\out.csv", "C:out.csv"],
)
def test_names_that_lead_out_are_refused_and_nothing_stays(tmp_path: Path, name: str) -> None:
    packed = pack(tmp_path / "feed.zip", {"catalog.csv": CSV, name: CSV})
    with pytest.raises(FeedError, match="leads out of it"):
        unpack(packed, tmp_path / "deep" / "out")
    assert everything(tmp_path) == {"feed.zip"}


def test_links_are_not_made(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("images/a.png")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    found = unpack(pack(tmp_path / "feed.zip", {"catalog.csv": CSV, link: "/etc/passwd"}), tmp_path / "out")
    assert everything(tmp_path / "out") == {"catalog.csv"}
    with pytest.raises(MediaError, match=r"a\.png cannot be read"):
        load_picture("images/a.png", found.parent)


def test_a_bomb_is_counted_as_it_comes_out(tmp_path: Path) -> None:
    packed = pack(tmp_path / "bomb.zip", {f"{i}.png": b"\0" * 1_000_000 for i in range(20)})
    assert packed.stat().st_size < 50_000
    with pytest.raises(FeedError, match="more than can be unpacked"):
        unpack(packed, tmp_path / "out", max_bytes=5_000_000)
    assert everything(tmp_path) == {"bomb.zip"}
    # One that lies about its size: what comes out is what counts.
    lying = bytearray(packed.read_bytes())
    at = lying.find(b"PK\x01\x02")
    while at >= 0:
        lying[at + 24 : at + 28] = struct.pack("<I", 10)
        at = lying.find(b"PK\x01\x02", at + 4)
    packed.write_bytes(bytes(lying))
    with pytest.raises(FeedError, match="neither a feed nor pictures"):
        unpack(packed, tmp_path / "lying", max_bytes=5_000_000)
    assert everything(tmp_path) == {"bomb.zip"}


def test_a_picture_too_large_costs_its_product_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 1_000)
    packed = pack(tmp_path / "feed.zip", {"catalog.csv": CSV, "images/a.png": b"\0" * 30_000_000})
    found = unpack(packed, tmp_path / "out")
    assert (found.parent / "images" / "a.png").stat().st_size <= 1_000 + (1 << 20)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "neither a feed nor pictures"),
        ({"notes.doc": "x"}, "neither a feed nor pictures"),
        ({"a.csv": CSV, "b.json": "[]"}, "holds 2 feeds .a.csv, b.json."),
        ({f"{'a/' * 17}x.csv": CSV}, "too long or too deep"),
        ({f"{'a' * 250}.csv": CSV}, "too long or too deep"),
    ],
)
def test_archives_that_hold_no_feed(tmp_path: Path, files: dict[str, str], words: str) -> None:
    with pytest.raises(FeedError, match=words):
        unpack(pack(tmp_path / "feed.zip", files), tmp_path / "out")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_and_a_file_below_a_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("a.csv", CSV)
        archive.writestr("a.csv", "other")
    with pytest.raises(FeedError, match=r"'a\.csv' twice"):
        unpack(tmp_path / "twice.zip", tmp_path / "out")
    packed = pack(tmp_path / "below.zip", {"a.png": png(), "a.png/b.png": png()})
    with pytest.raises(FeedError, match="cannot be unpacked"):
        unpack(packed, tmp_path / "out")


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack(tmp_path / "feed.zip", {f"{i}.png": b"x" for i in range(50)})
    with pytest.raises(FeedError, match="holds 50 files, at most 49"):
        unpack(packed, tmp_path / "out", max_files=49)
    monkeypatch.setattr(archives, "_INDEX_BYTES", 1_000)
    with pytest.raises(FeedError, match="more files than can be listed"):
        unpack(packed, tmp_path / "out")


def test_an_encrypted_archive(tmp_path: Path) -> None:
    packed = pack(tmp_path / "feed.zip", {"catalog.csv": CSV})
    data = bytearray(packed.read_bytes())
    data[6] |= 1
    data[data.find(b"PK\x01\x02") + 8] |= 1
    packed.write_bytes(bytes(data))
    with pytest.raises(FeedError, match="encrypted"):
        unpack(packed, tmp_path / "out")


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_SPARE_BYTES", 1 << 60)
    with pytest.raises(FeedError, match="more than can be unpacked here"):
        unpack(pack(tmp_path / "feed.zip", {"catalog.csv": CSV}), tmp_path / "out")


@settings(max_examples=150)
@given(st.data())
def test_damage_is_one_line_or_nothing(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    packed = pack(folder / "feed.zip", {"catalog.csv": CSV, "images/a.png": png()})
    content = bytearray(packed.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    packed.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    with suppress(FeedError):
        unpack(packed, folder / "out")
    assert {path.name for path in folder.iterdir()} <= {"feed.zip", "out"}


def test_a_damaged_picture_is_left_out_and_a_damaged_feed_is_refused(tmp_path: Path) -> None:
    packed = pack(tmp_path / "feed.zip", {"catalog.csv": CSV, "images/a.png": b"pixels" * 9}, zipfile.ZIP_STORED)
    whole = packed.read_bytes()
    packed.write_bytes(whole.replace(b"pixelspixels", b"pixelsPixels"))
    unpack(packed, tmp_path / "out")
    assert everything(tmp_path / "out") == {"catalog.csv"}
    packed.write_bytes(whole.replace(b"A thing", b"B thing"))
    with pytest.raises(FeedError, match="Bad CRC"):
        unpack(packed, tmp_path / "other")


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"PK")
    assert not is_archive(tmp_path / "a")
    (tmp_path / "b").write_bytes(b"PK\x03\x04 and nonsense")
    assert is_archive(tmp_path / "b")
    with pytest.raises(FeedError, match="cannot be unpacked"):
        unpack(tmp_path / "b", tmp_path / "out")
