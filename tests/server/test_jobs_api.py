"""Jobs, imports and their reports through the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from starlette.testclient import TestClient

from server.conftest import OTHER, SHOP
from server.test_videos_api import upload
from shopcue.database import Database, jobs, uploads


@dataclass(frozen=True)
class Line:
    """What became of a row of a feed."""

    row: int
    product_id: str
    status: str
    reason: str


def test_a_feed_is_an_upload_an_address_or_rows(seller: TestClient, database: Database) -> None:
    place = f"/api/shops/{SHOP}/imports"
    upload_id = upload(seller, b"id,title,image_link\n", "feed.csv", "feed")
    row = {"id": "a", "title": "A", "image_link": "https://x.example/a.jpg", "brand": "Oak"}
    bodies: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"upload_id": upload_id, "delete_missing": True}, {"upload_id": upload_id, "name": "feed.csv"}),
        ({"url": "https://x.example/feed.xml"}, {"url": "https://x.example/feed.xml"}),
        ({"products": [row]}, {"products": [row]}),
    ]
    for body, payload in bodies:
        answer = seller.post(place, json=body)
        assert answer.status_code == 202, answer.text
        with database.read() as session:
            job = jobs.get_job(session, answer.json()["job"]["job_id"])
        assert (job.kind, job.state, job.shop) == ("import", "queued", SHOP)
        assert job.payload == payload | {"delete_missing": body.get("delete_missing", False)}
    with database.read() as session:
        assert uploads.get_upload(session, upload_id).state == "used"
    assert seller.post(place, json=bodies[0][0]).status_code == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"url": "https://x.example/", "products": [{"id": "a", "title": "A", "image_link": "x"}]}, 422),
        ({"products": []}, 422),
        ({"products": [{"id": "a"}]}, 422),
        ({"products": [{"id": "a", "title": "A", "image_link": "x", "colour": "red"}]}, 422),
        ({"url": "http://192.168.0.1/feed.csv"}, 400),
        ({"url": "file:///feed.csv"}, 400),
        ({"upload_id": "nosuchupload"}, 404),
    ],
)
def test_no_other_feed_is_taken(seller: TestClient, body: dict[str, object], status: int) -> None:
    assert seller.post(f"/api/shops/{SHOP}/imports", json=body).status_code == status


@pytest.fixture
def job_id(seller: TestClient, database: Database) -> str:
    """An import that runs, with a report of seven rows."""
    body = {"url": "https://x.example/feed.csv"}
    job_id = str(seller.post(f"/api/shops/{SHOP}/imports", json=body).json()["job"]["job_id"])
    with database.write() as session:
        claimed = jobs.claim_job(session, "w1", ["import"], 60)
        assert claimed is not None
        jobs.beat_job(session, job_id, "w1", "pictures", 3, 12, 60)
        statuses = ["ok", "ok", "refused", "partial", "ok", "refused", "ok"]
        jobs.add_items(
            session, job_id, [Line(n + 1, f"p{n}", s, "<why>" * (s != "ok")) for n, s in enumerate(statuses)]
        )
    return job_id


def test_a_job_says_how_far_it_is(viewer: TestClient, job_id: str) -> None:
    job = viewer.get(f"/api/jobs/{job_id}").json()
    assert (job["state"], job["stage"], job["done"], job["total"], job["progress"]) == (
        "running",
        "pictures",
        3,
        12,
        0.25,
    )
    assert job["attempts"] == 1
    assert job["started_at"].endswith("Z")
    assert job["finished_at"] is None


def test_the_report_is_read_page_by_page_and_by_status(viewer: TestClient, job_id: str) -> None:
    place, rows, after = f"/api/jobs/{job_id}/items", list[int](), 0
    while after is not None:
        page = viewer.get(place, params={"limit": 3, "after": after}).json()
        assert page["counts"] == {"ok": 4, "partial": 1, "refused": 2}
        rows += [item["row"] for item in page["items"]]
        after = page["next"]
    assert rows == [1, 2, 3, 4, 5, 6, 7]
    refused = viewer.get(place, params={"status": "refused"}).json()["items"]
    assert refused == [
        {"row": 3, "product_id": "p2", "status": "refused", "reason": "<why>"},
        {"row": 6, "product_id": "p5", "status": "refused", "reason": "<why>"},
    ]


def test_jobs_are_cancelled_and_tried_again(seller: TestClient, job_id: str, database: Database) -> None:
    place = f"/api/jobs/{job_id}"
    assert seller.post(f"{place}/retry").status_code == 409
    assert seller.post(f"{place}/cancel").json()["state"] == "running"  # until its worker hears of it
    with database.write() as session:
        assert jobs.beat_job(session, job_id, "w1", "pictures", 4, 12, 60) == "cancel"
        jobs.finish_job(session, job_id, "w1", "cancelled")
    assert seller.post(f"{place}/cancel").status_code == 409
    assert seller.post(f"{place}/retry").json()["state"] == "queued"
    assert seller.post(f"{place}/cancel").json()["state"] == "cancelled"  # nobody has begun it


def test_jobs_are_listed_for_those_they_are_for(
    admin: TestClient, seller: TestClient, stranger: TestClient, viewer: TestClient, client: TestClient, job_id: str
) -> None:
    def ids(client: TestClient, **query: str) -> list[str]:
        return [job["job_id"] for job in client.get("/api/jobs", params=query).json()["jobs"]]

    theirs = stranger.post(f"/api/shops/{OTHER}/reindex").json()["job"]["job_id"]
    assert ids(admin) == [theirs, job_id]
    assert ids(seller) == ids(viewer) == [job_id]
    assert ids(stranger) == [theirs]
    assert ids(admin, shop=OTHER) == ids(admin, kind="reindex") == ids(admin, state="queued") == [theirs]
    assert ids(admin, limit="1") == [theirs]
    assert ids(admin, before=theirs) == [job_id]
    assert seller.get("/api/jobs", params={"shop": OTHER}).status_code == 404
    assert seller.get("/api/jobs", params={"before": theirs}).status_code == 404
    assert client.get("/api/jobs").status_code == 401
    for path in (f"/api/jobs/{job_id}", f"/api/jobs/{job_id}/items"):
        assert stranger.get(path).status_code == 404
    for verb in ("cancel", "retry"):
        assert stranger.post(f"/api/jobs/{job_id}/{verb}").status_code == 404
        assert viewer.post(f"/api/jobs/{job_id}/{verb}").status_code == 403
    assert viewer.post(f"/api/shops/{SHOP}/reindex").status_code == 403
    assert viewer.post(f"/api/shops/{SHOP}/imports", json={"url": "https://x.example/"}).status_code == 403
