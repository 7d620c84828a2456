"""Weights are found in a fixed order, and nothing unverified or executable is opened."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from shopcue.errors import WeightsError
from shopcue.models import hub

PAYLOAD = b"weights of a net"
SHA256 = hashlib.sha256(PAYLOAD).hexdigest()
REVISION = "0123abcd"


def index(folder: Path, **more: object) -> Path:
    entry = {"file": "net.onnx", "sha256": SHA256, **more}
    path = folder / "weights.json"
    path.write_text(json.dumps({"schema": hub.SCHEMA, "weights": {"net": entry}}))
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    return folder


def put(path: Path, payload: bytes = PAYLOAD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(payload)
    return path


def test_every_listed_file_of_the_package_is_the_listed_one() -> None:
    listings = hub.read_index()
    assert "house-encoder" in listings
    for name, listing in listings.items():
        path = hub.INDEX.parent / listing.file
        if path.is_file():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == listing.sha256, name


def test_a_path_given_comes_first_and_is_named_by_its_hash(tmp_path: Path) -> None:
    own = put(tmp_path / "own.onnx", b"mine")
    put(tmp_path / "net.onnx")
    found = hub.find_weights("net", own, index=index(tmp_path))
    assert found.path == own
    assert found.fingerprint == f"net-{hashlib.sha256(b'mine').hexdigest()[:16]}"


def test_package_then_carrier_then_cache(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "carrier_of_nets").mkdir()
    put(tmp_path / "carrier_of_nets" / "__init__.py", b"raise RuntimeError('a carrier is never imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    listed = index(tmp_path, carrier=["carrier_of_nets", "data/net.onnx"], hub=["o/n", "main", "onnx/net.onnx"])
    places = [
        put(tmp_path / "net.onnx"),
        put(tmp_path / "carrier_of_nets" / "data" / "net.onnx"),
        put(cache / "models--o--n" / "snapshots" / REVISION / "onnx" / "net.onnx"),
    ]
    put(cache / "models--o--n" / "refs" / "main", REVISION.encode() + b"\n")
    for place in places:
        assert hub.find_weights("net", index=listed).path == place
        place.unlink()
    with pytest.raises(WeightsError, match="allow the download"):
        hub.find_weights("net", index=listed)


def test_download_is_verified_before_it_gets_its_name(tmp_path: Path, cache: Path) -> None:
    asked = []

    def fetch(url: str) -> Iterator[bytes]:
        asked.append(url)
        yield PAYLOAD[:5]
        yield PAYLOAD[5:]

    listed = index(tmp_path, hub=["o/n", REVISION, "net.onnx"])
    found = hub.find_weights("net", index=listed, download=True, fetch=fetch)
    assert asked == [f"https://huggingface.co/o/n/resolve/{REVISION}/net.onnx"]
    assert found.path.read_bytes() == PAYLOAD
    assert hub.find_weights("net", index=listed).path == found.path  # now in the cache: no second download
    found.path.unlink()
    with pytest.raises(WeightsError, match="expected"):
        hub.find_weights("net", index=listed, download=True, fetch=lambda url: [b"something else"])
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_broken_download_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    def fetch(url: str) -> Iterator[bytes]:
        yield PAYLOAD[:5]
        raise WeightsError("the line went dead")

    with pytest.raises(WeightsError, match="went dead"):
        hub.find_weights("net", index=index(tmp_path, hub=["o/n", REVISION, "net.onnx"]), download=True, fetch=fetch)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "net.onnx", b"damaged")
    with pytest.raises(WeightsError, match="damaged or of another version"):
        hub.find_weights("net", index=index(tmp_path))


@pytest.mark.parametrize("name", ["net.pth", "net.bin", "net.pkl", "net"])
def test_formats_that_run_code_are_refused(tmp_path: Path, name: str) -> None:
    path = put(tmp_path / name, pickle.dumps({"a": 1}))
    with pytest.raises(WeightsError, match="can run code"):
        hub.find_weights("net", path)


@pytest.mark.parametrize(
    "more",
    [
        {"sha256": "no"},
        {"file": "../net.onnx"},
        {"file": "net.pth"},
        {"hub": ["o/n", REVISION, "../../net.onnx"]},
        {"hub": ["../n", REVISION, "net.onnx"]},
        {"hub": ["o/n", "../..", "net.onnx"]},
        {"hub": "o/n"},
        {"carrier": "package"},
    ],
)
def test_a_hostile_index_is_refused(tmp_path: Path, more: dict[str, object]) -> None:
    with pytest.raises(WeightsError, match="no index of weights"):
        hub.read_index(index(tmp_path, **more))


def test_unknown_names_and_missing_files_say_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="known are net"):
        hub.find_weights("nett", index=index(tmp_path))
    with pytest.raises(WeightsError, match="no weights at"):
        hub.find_weights("net", tmp_path / "gone.onnx")
    (tmp_path / "weights.json").write_text("{}")
    with pytest.raises(WeightsError, match="no index of weights"):
        hub.read_index(tmp_path / "weights.json")


def test_cache_folder_follows_the_environment(tmp_path: Path) -> None:
    assert hub.hub_cache({"HF_HUB_CACHE": "/a"}) == Path("/a")
    assert hub.hub_cache({"HF_HOME": "/a"}) == Path("/a/hub")
    assert hub.hub_cache({}) == Path.home() / ".cache" / "huggingface" / "hub"
