"""The store in object storage: the real client against a local server that speaks S3."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from stored_products import MeanColour, embedded, unit, write_feed

pytest.importorskip("lancedb", reason="the extra `store` is not installed")
pytest.importorskip("boto3", reason="an S3 client is needed to make the bucket")
pytest.importorskip("moto.server", reason="an S3 server is needed")

import boto3
from moto.server import ThreadedMotoServer

from shopcue.catalog.exact import build_gallery
from shopcue.catalog.feeds import read_feed
from shopcue.catalog.ingest import ingest
from shopcue.catalog.store import CatalogStore, open_store
from shopcue.errors import StoreError

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=address,
        region_name=KEYS["AWS_REGION"],
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
    )
    client.create_bucket(Bucket="shops")
    yield address
    server.stop()


@pytest.fixture
def options(endpoint: str) -> Mapping[str, str]:
    """Keys and addresses as a program gives them."""
    return {**{name.lower(): value for name, value in KEYS.items()}, "endpoint": endpoint, "allow_http": "true"}


@pytest.fixture
def store(options: Mapping[str, str], request: pytest.FixtureRequest) -> CatalogStore:
    return open_store(f"s3://shops/{request.node.name}", options)


def test_all_that_a_store_does_works_there(store: CatalogStore, options: Mapping[str, str]) -> None:
    other = open_store(store.uri, options)
    store.upsert("mine", [embedded("a", "red dress", 2, seed=1), embedded("b", "蓝色茶杯", seed=2)], "e")
    assert [product.product_id for product in other.products("mine").products] == ["a", "b"]
    assert other.search("mine", vector=unit(2)[0], fingerprint="e")[0].product_id == "b"
    assert [hit.product_id for hit in other.search("mine", text="茶杯")] == ["b"]
    assert other.picture("mine", "a", 1) == embedded("a", pictures=2, seed=1).pictures[1]
    on_air = other.on_air("mine", "e")
    store.revise("mine", "a", {"title": "Red, changed"})
    store.delete("mine", ["b"])
    assert on_air.refresh()
    assert [product.title for product in on_air.gallery.catalog] == ["Red, changed"]
    store.optimize()
    store.reindex("mine", MeanColour("new"))
    assert other.gallery("mine", "new").vectors.shape == (2, 4)
    store.drop_shop("mine")
    assert other.shops() == ()
    assert other.products("mine").total == 0


def test_an_import_gives_the_gallery_that_is_built_directly(store: CatalogStore, tmp_path: Path) -> None:
    feed = read_feed(write_feed(tmp_path / "feed", 12))
    assert [line.status for line in ingest(store, "mine", feed, MeanColour())] == ["ok"] * 12
    wanted, _ = build_gallery(feed, MeanColour())
    found = store.gallery("mine", "mean-colour")
    assert np.array_equal(found.vectors, wanted.vectors)
    assert found.catalog == wanted.catalog
    version = store.version("mine")
    assert len(list(ingest(store, "mine", feed, MeanColour()))) == 12
    assert store.version("mine") == version


def test_writers_at_once_lose_nothing(store: CatalogStore, options: Mapping[str, str]) -> None:
    problems: list[BaseException] = []
    store.upsert("mine", [embedded("first")], "e")

    def write(name: str) -> None:
        try:
            own = open_store(store.uri, options)
            for number in range(4):
                own.upsert("mine", [embedded(f"{name}{number}"), embedded("shared", name, seed=number)], "e")
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "xyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    wanted = sorted(["first", "shared", *(f"{name}{number}" for name in "xyz" for number in range(4))])
    assert sorted(store.snapshot("mine").ids) == wanted


WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from stored_products import embedded
from shopcue.catalog.store import open_store
store = open_store(sys.argv[1])
for number in range(10_000):
    store.upsert("mine", [embedded(f"{number}-{i}", seed=i) for i in range(3)], "e")
    print(number, flush=True)
"""


def test_another_process_by_the_environment_and_its_sudden_end(store: CatalogStore, endpoint: str) -> None:
    environment = {**os.environ, **KEYS, "AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true"}
    command = [sys.executable, "-c", WRITER, store.uri, str(Path(__file__).parents[1])]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    last = [int(process.stdout.readline()) for _ in range(5)][-1]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    found = set(store.snapshot("mine").ids)
    assert {f"{number}-{i}" for number in range(last + 1) for i in range(3)} <= found
    assert len(found) % 3 == 0
    store.upsert("mine", [embedded("after")], "e")
    assert store.get("mine", "after") is not None


def test_a_service_that_is_not_there_is_one_line(options: Mapping[str, str]) -> None:
    with pytest.raises(StoreError, match="s3://shops/x cannot be used") as caught:
        open_store("s3://shops/x", {**options, "endpoint": "http://127.0.0.1:9", "client_max_retries": "0"})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
