"""Files in chunks: what was acknowledged is there, whatever happens in between."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from pathlib import Path

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from server.conftest import OTHER, SHOP
from shopcue.database import Database, uploads
from shopcue.errors import Conflict
from shopcue.server.housekeeping import tidy
from shopcue.server.receiving import Receiver
from shopcue.server.services import Services
from shopcue.server.settings import ServerSettings, UploadLimits

CHUNK = 4_096
LIMITS = UploadLimits(most_bytes=(100_000, 50_000, 50_000, 50_000), chunk_bytes=CHUNK, open_uploads=3, spare_bytes=0)


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    return ServerSettings(tmp_path / "data", workers=0, uploads=LIMITS)


def begin(client: TestClient, data: bytes, kind: str = "video", sha256: str | None = None) -> str:
    body = {"name": "show.mp4", "size": len(data), "kind": kind, "sha256": sha256}
    answer = client.post(f"/api/shops/{SHOP}/uploads", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["offset"] == 0
    assert answer.json()["chunk_bytes"] == CHUNK
    return str(answer.json()["upload_id"])


def send(client: TestClient, upload_id: str, offset: int, data: bytes) -> Response:
    return client.patch(f"/api/uploads/{upload_id}", content=data, headers={"Upload-Offset": str(offset)})


def test_chunks_make_up_the_file(seller: TestClient, parts: Services) -> None:
    data = random.Random(1).randbytes(3 * CHUNK + 77)
    upload_id = begin(seller, data, sha256=hashlib.sha256(data).hexdigest().upper())
    for at in range(0, len(data), CHUNK):
        answer = send(seller, upload_id, at, data[at : at + CHUNK])
        assert answer.status_code == 200
        assert answer.json()["offset"] == min(at + CHUNK, len(data))
    assert answer.json()["state"] == "complete"
    assert parts.settings.upload_file(upload_id).read_bytes() == data
    assert f"shopcue_uploaded_bytes_total {float(len(data))}" in parts.metrics.text([]).decode()


def test_an_upload_goes_on_where_it_ends_whatever_a_client_believes(seller: TestClient, parts: Services) -> None:
    """Chunks of any size at any offset: only those that begin where the file ends are taken."""
    draw = random.Random(2)
    data = draw.randbytes(5 * CHUNK)
    upload_id, here = begin(seller, data), 0
    while here < len(data):
        at = here if draw.random() < 0.6 else draw.randrange(len(data) + 10)
        piece = data[at : at + draw.randrange(CHUNK)]
        answer = send(seller, upload_id, at, piece)
        if at == here:
            here += len(piece)
            assert answer.json()["offset"] == here
        else:
            assert answer.status_code == 409
            assert answer.json()["offset"] == here
            assert "\n" not in answer.json()["error"]
        assert seller.get(f"/api/uploads/{upload_id}").json()["offset"] == here
    assert parts.settings.upload_file(upload_id).read_bytes() == data


def test_a_chunk_or_a_file_that_is_too_long_is_refused(seller: TestClient) -> None:
    upload_id = begin(seller, bytes(2 * CHUNK))
    assert send(seller, upload_id, 0, bytes(CHUNK + 1)).status_code == 413
    assert send(seller, upload_id, 0, bytes(CHUNK)).status_code == 200
    assert send(seller, upload_id, CHUNK, bytes(CHUNK + 1)).status_code == 413
    assert seller.get(f"/api/uploads/{upload_id}").json()["offset"] == CHUNK
    for size, kind in ((100_001, "video"), (50_001, "feed")):
        answer = seller.post(f"/api/shops/{SHOP}/uploads", json={"name": "x", "size": size, "kind": kind})
        assert answer.status_code == 413
        assert f"{size:,}" in answer.json()["error"]


def test_bytes_other_than_announced_are_dropped(seller: TestClient, parts: Services) -> None:
    upload_id = begin(seller, b"true bytes", sha256=hashlib.sha256(b"true bytes").hexdigest())
    answer = send(seller, upload_id, 0, b"fake bytes")
    assert answer.status_code == 422
    assert hashlib.sha256(b"fake bytes").hexdigest() in answer.json()["error"]
    assert not parts.settings.upload_file(upload_id).exists()
    assert seller.get(f"/api/uploads/{upload_id}").json()["state"] == "failed"
    assert send(seller, upload_id, 0, b"true bytes").status_code == 409


def test_one_request_at_a_time_writes(seller: TestClient, parts: Services) -> None:
    upload_id = begin(seller, bytes(100))
    path = parts.settings.upload_file(upload_id)
    with Receiver(path, 0, 100):
        with pytest.raises(Conflict, match="another request"):
            Receiver(path, 0, 100)
        assert send(seller, upload_id, 0, bytes(100)).status_code == 409
    assert send(seller, upload_id, 0, bytes(100)).status_code == 200


def test_chunks_at_once_never_spoil_what_was_acknowledged(seller: TestClient, parts: Services) -> None:
    """Many clients send different bytes for the same place: the file holds those of the one that was told yes."""
    upload_id = begin(seller, bytes(CHUNK))
    told_yes: list[int] = []

    def try_with(number: int) -> None:
        if send(seller, upload_id, 0, bytes([number]) * CHUNK).status_code == 200:
            told_yes.append(number)

    threads = [threading.Thread(target=try_with, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told_yes) == 1
    assert parts.settings.upload_file(upload_id).read_bytes() == bytes(told_yes) * CHUNK


@pytest.mark.parametrize("asks", ["how far it is", "with an empty chunk"])
def test_a_server_killed_before_the_last_word_is_asked_again(
    seller: TestClient, parts: Services, database: Database, asks: str
) -> None:
    """All bytes were counted and the upload was not completed; a request that is about to is not disturbed."""
    upload_id = begin(seller, b"0123456789", sha256=hashlib.sha256(b"0123456789").hexdigest())
    path = parts.settings.upload_file(upload_id)
    path.write_bytes(b"0123456789")
    with database.write() as session:
        uploads.advance_upload(session, upload_id, 0, 10)
    with Receiver(path, 10, 0):
        assert seller.get(f"/api/uploads/{upload_id}").json()["state"] == "open"
    if asks == "with an empty chunk":
        assert send(seller, upload_id, 10, b"").json()["state"] == "complete"
    assert seller.get(f"/api/uploads/{upload_id}").json()["state"] == "complete"


def test_open_uploads_of_a_shop_are_bounded(seller: TestClient) -> None:
    ids = [begin(seller, b"x" * 10) for _ in range(LIMITS.open_uploads)]
    body = {"name": "one more", "size": 10, "kind": "video"}
    assert seller.post(f"/api/shops/{SHOP}/uploads", json=body).status_code == 409
    assert seller.delete(f"/api/uploads/{ids[0]}").status_code == 204
    assert seller.get(f"/api/uploads/{ids[0]}").status_code == 404
    assert seller.post(f"/api/shops/{SHOP}/uploads", json=body).status_code == 201


def test_the_disk_keeps_some_room(parts: Services, seller: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1_000

    monkeypatch.setattr("shopcue.server.receiving.shutil.disk_usage", lambda _: Usage)
    begin(seller, bytes(600))
    answer = seller.post(f"/api/shops/{SHOP}/uploads", json={"name": "x", "size": 401, "kind": "video"})
    assert answer.status_code == 413
    assert "room for 400" in answer.json()["error"]  # what is on its way counts


def test_who_may_upload_what(client: TestClient, seller: TestClient, viewer: TestClient, stranger: TestClient) -> None:
    body = {"name": "x", "size": 10, "kind": "video"}
    assert client.post(f"/api/shops/{SHOP}/uploads", json=body).status_code == 401
    assert viewer.post(f"/api/shops/{SHOP}/uploads", json=body).status_code == 403
    assert stranger.post(f"/api/shops/{SHOP}/uploads", json=body).status_code == 404
    assert seller.post(f"/api/shops/{OTHER}/uploads", json=body).status_code == 404
    upload_id = begin(seller, bytes(10))
    assert viewer.get(f"/api/uploads/{upload_id}").status_code == 200
    assert send(viewer, upload_id, 0, bytes(10)).status_code == 403
    assert send(stranger, upload_id, 0, bytes(10)).status_code == 404
    assert stranger.delete(f"/api/uploads/{upload_id}").status_code == 404


def test_a_chunk_needs_its_offset(seller: TestClient) -> None:
    upload_id = begin(seller, bytes(10))
    for offset in (None, "-1", "x", "1e3", str(1 << 70)):
        headers = {} if offset is None else {"Upload-Offset": offset}
        assert seller.patch(f"/api/uploads/{upload_id}", content=bytes(10), headers=headers).status_code == 422


def test_what_nobody_goes_on_with_is_swept(seller: TestClient, parts: Services, database: Database) -> None:
    stale, used, fresh = (begin(seller, b"0123456789") for _ in range(3))
    for upload_id in (stale, used):
        send(seller, upload_id, 0, b"0123456789")
    with database.write() as session:
        uploads.use_upload(session, used, SHOP, "video")
    two_days = LIMITS.keep_s + 1
    with database.write() as session:
        uploads.get_upload(session, stale).updated_at -= two_days
        uploads.get_upload(session, used).updated_at -= two_days
    orphan = parts.settings.uploads_folder / "nobodysorphan.part"
    orphan.write_bytes(b"x")
    tidy(parts)
    assert orphan.exists()  # it is young: its row may be on its way
    assert not parts.settings.upload_file(stale).exists()
    assert parts.settings.upload_file(used).exists()  # a job may be about to read it
    assert [seller.get(f"/api/uploads/{each}").status_code for each in (stale, used, fresh)] == [404, 200, 200]
    os.utime(orphan, (0, 0))
    tidy(parts)
    assert not orphan.exists()
