"""Videos through the API: taken in, seen, changed, matched anew, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from starlette.testclient import TestClient

from clips import Image, MakeVideo, picture_number
from server.conftest import OTHER, SHOP
from shopcue import records
from shopcue.database import Database, events, focuses, jobs, uploads, videos, words
from shopcue.errors import MediaError
from shopcue.records import Evidence, Focus
from shopcue.server.probing import probe_apart
from shopcue.server.services import Services
from shopcue.server.settings import ServerSettings


def upload(client: TestClient, data: bytes, name: str = "show.mp4", kind: str = "video") -> str:
    """Send a file in one chunk; returns its id."""
    body = {"name": name, "size": len(data), "kind": kind}
    upload_id = str(client.post(f"/api/shops/{SHOP}/uploads", json=body).json()["upload_id"])
    answer = client.patch(f"/api/uploads/{upload_id}", content=data, headers={"Upload-Offset": "0"})
    assert answer.json()["state"] == "complete"
    return upload_id


@pytest.fixture
def clip(make_video: MakeVideo) -> bytes:
    """One second of numbered pictures, ten a second."""
    return make_video().read_bytes()


@pytest.fixture
def video_id(seller: TestClient, clip: bytes) -> str:
    """A recording that was taken in."""
    answer = seller.post(f"/api/shops/{SHOP}/videos", json={"upload_id": upload(seller, clip)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["video"]["video_id"])


def test_an_upload_becomes_a_video_that_can_be_seen_at_once(
    seller: TestClient, viewer: TestClient, parts: Services, database: Database, clip: bytes
) -> None:
    upload_id = upload(seller, clip, "../My_best show!!.MP4")
    comments_id = upload(seller, b'{"time_s": 1, "user": "a", "text": "b"}', "c.jsonl", "comments")
    body = {"upload_id": upload_id, "comments_upload_id": comments_id, "speech": "none", "method": "one-stage"}
    answer = seller.post(f"/api/shops/{SHOP}/videos", json=body).json()
    video, job = answer["video"], answer["job"]
    assert video["title"] == "My best show"
    assert (video["kind"], video["state"], video["published"]) == ("recording", "new", False)
    assert (video["duration_s"], video["width"], video["height"]) == (pytest.approx(1.0, abs=0.2), 160, 96)
    assert video["job"] == job
    assert (job["kind"], job["state"], job["video_id"]) == ("match", "queued", video["video_id"])
    assert viewer.get(video["media"]).content == clip
    assert viewer.get(f"/api/videos/{video['video_id']}").json() == video
    with database.read() as session:
        queued = jobs.get_job(session, job["job_id"])
        assert [uploads.get_upload(session, each).state for each in (upload_id, comments_id)] == ["used", "used"]
    assert queued.payload == body | {"name": "../My_best show!!.MP4", "speech_upload_id": None}
    assert not parts.settings.upload_file(upload_id).exists()
    assert parts.settings.upload_file(comments_id).exists()  # the job reads it
    again = seller.post(f"/api/shops/{SHOP}/videos", json=body)
    assert again.status_code == 409


def test_what_is_no_video_is_refused_in_one_line(
    seller: TestClient, parts: Services, make_video: MakeVideo, clip: bytes
) -> None:
    silent = make_video("sound.mp4", (), sounds=[]) if False else b"no video at all" * 99
    for data in (
        silent,
        b"no video at all" * 99,
        clip[: len(clip) // 3],
        b"\x00" * 5_000,
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    ):
        upload_id = upload(seller, data)
        answer = seller.post(f"/api/shops/{SHOP}/videos", json={"upload_id": upload_id})
        assert answer.status_code == 400, answer.text
        line = answer.json()["error"]
        assert "show.mp4" in line
        assert str(parts.settings.data) not in line
    assert seller.get(f"/api/shops/{SHOP}/videos").json() == {"videos": [], "next": None}
    assert list((parts.settings.data / "videos").iterdir()) == []


def test_a_probe_that_hangs_or_dies_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.mp4"
    file.write_bytes(b"x")
    with pytest.raises(MediaError, match=r"within 0\.05 s"):
        probe_apart(file, "x.mp4", 0.05)
    monkeypatch.setattr("shopcue.server.probing.sys.executable", "/bin/false")
    with pytest.raises(MediaError, match="brings down"):
        probe_apart(file, "x.mp4")


def test_few_videos_are_looked_into_at_a_time(
    seller: TestClient, parts: Services, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shopcue.server.placing._PATIENCE_S", 0.05)
    body = {"upload_id": upload(seller, clip)}
    held = 0
    while parts.probing.acquire(blocking=False):
        held += 1
    answer = seller.post(f"/api/shops/{SHOP}/videos", json=body)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    parts.probing.release(held)
    assert seller.post(f"/api/shops/{SHOP}/videos", json=body).status_code == 201


def test_an_upload_has_to_be_complete_of_its_kind_and_ours(
    seller: TestClient, stranger: TestClient, clip: bytes, database: Database
) -> None:
    body = {"name": "x.mp4", "size": 10, "kind": "video"}
    begun = seller.post(f"/api/shops/{SHOP}/uploads", json=body).json()["upload_id"]
    feed = upload(seller, b"id,title", "feed.csv", "feed")
    theirs = stranger.post(f"/api/shops/{OTHER}/uploads", json=body).json()["upload_id"]
    place = f"/api/shops/{SHOP}/videos"
    assert seller.post(place, json={"upload_id": begun}).status_code == 409
    assert seller.post(place, json={"upload_id": feed}).status_code == 409
    assert seller.post(place, json={"upload_id": theirs}).status_code == 404
    video = upload(seller, clip)
    assert seller.post(place, json={"upload_id": video, "comments_upload_id": feed}).status_code == 409
    with database.read() as session:
        assert uploads.get_upload(session, video).state == "complete"  # all or nothing
        assert not videos.list_videos(session, SHOP).rows
    assert seller.post(place, json={"upload_id": video}).status_code == 201


def test_a_video_comes_from_one_place(seller: TestClient) -> None:
    place = f"/api/shops/{SHOP}/videos"
    assert seller.post(place, json={}).status_code == 422
    assert seller.post(place, json={"upload_id": "a", "url": "https://x.example/y.mp4"}).status_code == 422


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://x.example/y",
        "http://127.0.0.1/x.mp4",
        "http://localhost/x.mp4",
        "http://[::1]/x.mp4",
        "http://169.254.169.254/latest",
        "http://10.1.2.3/x",
        "http://x.example:0/y",
        "https://",
        "x.mp4",
        "https://x.example/a b",
        "https://x.example/\n",
        "http://[bad",
    ],
)
def test_addresses_that_are_not_of_the_public_web_are_refused(seller: TestClient, url: str) -> None:
    answer = seller.post(f"/api/shops/{SHOP}/videos", json={"url": url})
    expected = 201 if url.endswith("\n") else 400  # white space around an address goes
    assert answer.status_code == expected, answer.text


def test_an_address_is_fetched_by_the_job(seller: TestClient, database: Database) -> None:
    url = "https://videos.example/live/evening_show.webm?token=1"
    answer = seller.post(f"/api/shops/{SHOP}/videos", json={"url": url}).json()
    assert answer["video"]["title"] == "evening show"
    assert answer["video"]["media"] is None
    with database.read() as session:
        assert jobs.get_job(session, answer["job"]["job_id"]).payload["url"] == url
    assert seller.get(f"/api/videos/{answer['video']['video_id']}/media").status_code == 404


def test_parts_of_the_file_are_given(seller: TestClient, video_id: str, clip: bytes) -> None:
    place = f"/api/videos/{video_id}/media"
    whole = seller.get(place)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    part = seller.get(place, headers={"Range": "bytes=100-299"})
    assert (part.status_code, part.content) == (206, clip[100:300])
    assert part.headers["content-range"] == f"bytes 100-299/{len(clip)}"
    assert seller.get(place, headers={"Range": f"bytes={len(clip)}-"}).status_code == 416
    assert seller.get(place, headers={"Range": "bytes=-10"}).content == clip[-10:]
    assert seller.get(place, headers={"Range": "pages=1-2"}).status_code == 400


def picture_of(answer: bytes) -> Image:
    return np.asarray(Pillow.open(BytesIO(answer)).convert("RGB"))


@pytest.mark.parametrize(("t", "number"), [(0, 0), (0.3, 3), (0.55, 5), (50, 9)])
def test_a_frame_is_the_one_on_screen(seller: TestClient, video_id: str, t: float, number: int) -> None:
    answer = seller.get(f"/api/videos/{video_id}/frame", params={"t": t, "side": 160})
    assert answer.headers["content-type"] == "image/jpeg"
    assert picture_number(picture_of(answer.content)) == number


def test_a_frame_is_cut_and_made_smaller(seller: TestClient, video_id: str) -> None:
    def size(**query: str) -> Sequence[int]:
        return picture_of(seller.get(f"/api/videos/{video_id}/frame", params={"t": "0"} | query).content).shape[1::-1]

    assert tuple(size(side="80")) == (80, 48)
    assert tuple(size(box="0,0,48,96")) == (48, 96)
    for wrong in ("0,0,1", "a,b,c,d", "5,5,5,9", "nan,0,9,9", "9,9,1,1"):
        assert seller.get(f"/api/videos/{video_id}/frame", params={"t": 0, "box": wrong}).status_code == 422, wrong
    for wrong_time in ("-1", "nan", "inf", "x"):
        assert seller.get(f"/api/videos/{video_id}/frame", params={"t": wrong_time}).status_code == 422


def test_the_poster_is_there_when_it_was_made(seller: TestClient, video_id: str, parts: Services) -> None:
    assert seller.get(f"/api/videos/{video_id}").json()["poster"] is None
    assert seller.get(f"/api/videos/{video_id}/poster").status_code == 404
    parts.settings.poster_file(video_id).write_bytes(b"jpeg")
    poster = seller.get(f"/api/videos/{video_id}").json()["poster"]
    assert seller.get(poster).content == b"jpeg"


def test_a_video_is_renamed_published_and_deleted(
    seller: TestClient, video_id: str, parts: Services, database: Database
) -> None:
    place = f"/api/videos/{video_id}"
    changed = seller.patch(place, json={"title": "<b>New</b>", "published": True}).json()
    assert (changed["title"], changed["published"]) == ("<b>New</b>", True)
    assert seller.patch(place, json={}).json() == changed
    assert seller.patch(place, json={"state": "ready"}).status_code == 422
    assert seller.delete(place).status_code == 204
    assert seller.get(place).status_code == 404
    assert not parts.settings.video_folder(video_id).exists()
    with database.read() as session:
        told = [event.data for event in events.events_after(session, 0, types=["video.update"])]
        assert not jobs.list_jobs(session, SHOP).rows
    assert told[-1]["deleted"]


def test_videos_are_listed_page_by_page(seller: TestClient, database: Database) -> None:
    with database.write() as session:
        made = [videos.add_video(session, SHOP, "recording", str(n), "x").video_id for n in range(5)]
        stream = videos.add_video(session, SHOP, "stream", "s", "rtmp://x/y").video_id
        videos.change_video(session, made[0], state="failed", error="no picture")
    place, found, before = f"/api/shops/{SHOP}/videos", list[str](), None
    while True:
        page = seller.get(place, params={"limit": 2} | ({"before": before} if before else {})).json()
        found += [video["video_id"] for video in page["videos"]]
        before = page["next"]
        if before is None:
            break
    assert found == [stream, *made[::-1]]
    assert [v["error"] for v in seller.get(place, params={"state": "failed"}).json()["videos"]] == ["no picture"]
    assert [v["video_id"] for v in seller.get(place, params={"kind": "stream"}).json()["videos"]] == [stream]
    assert seller.get(place, params={"before": "nosuchvideo1"}).status_code == 404


def test_a_video_is_matched_anew_but_no_review_is_dropped_unasked(
    seller: TestClient, video_id: str, database: Database
) -> None:
    place = f"/api/videos/{video_id}/match"
    assert seller.post(place, json={}).status_code == 409  # its first job is still queued
    with database.write() as session:
        jobs.cancel_job(session, jobs.list_jobs(session, SHOP).rows[0].job_id)
    again = seller.post(place, json={"method": "two-stage"})
    assert again.status_code == 202
    with database.write() as session:
        job = jobs.get_job(session, again.json()["job"]["job_id"])
        assert (job.payload["method"], job.payload["name"]) == ("two-stage", "show.mp4")
        jobs.cancel_job(session, job.job_id)
        video = videos.get_video(session, video_id)
        evidence = Evidence(1, 0, 0, 0, (0, 0, 9, 9))
        [row] = focuses.put_focuses(session, video, [Focus("p", "P", 0, 0.5, 0.9, evidence)])
        row.status = "confirmed"
    assert seller.get(f"/api/videos/{video_id}").json()["focuses"]["reviewed"] == 1
    refused = seller.post(place, json={})
    assert refused.status_code == 409
    assert "replace" in refused.json()["error"]
    assert seller.post(place, json={"replace": True}).status_code == 202


def test_a_video_whose_jobs_are_forgotten_is_matched_anew(seller: TestClient, database: Database) -> None:
    url = "https://videos.example/show.mp4"
    video_id = seller.post(f"/api/shops/{SHOP}/videos", json={"url": url}).json()["video"]["video_id"]
    with database.write() as session:
        session.delete(jobs.latest_jobs(session, [video_id])[video_id])
    job = seller.post(f"/api/videos/{video_id}/match", json={}).json()["job"]
    with database.read() as session:
        assert jobs.get_job(session, job["job_id"]).payload["url"] == url


def test_words_are_listed(viewer: TestClient, video_id: str, database: Database) -> None:
    with database.write() as session:
        words.put_utterances(session, video_id, [records.Utterance(1, 2, "hello"), records.Utterance(0, 1, "well")])
        words.put_comments(session, video_id, [records.Comment(3, "<i>", "<script>alert(1)</script>")])
    assert viewer.get(f"/api/videos/{video_id}/words").json() == {
        "utterances": [
            {"start_s": 0.0, "end_s": 1.0, "text": "well"},
            {"start_s": 1.0, "end_s": 2.0, "text": "hello"},
        ],
        "comments": [{"time_s": 3.0, "user": "<i>", "text": "<script>alert(1)</script>"}],
    }


def test_videos_are_for_their_shop(client: TestClient, viewer: TestClient, stranger: TestClient, video_id: str) -> None:
    place = f"/api/videos/{video_id}"
    for path in ("", "/media", "/poster", "/frame?t=0", "/words"):
        assert client.get(place + path).status_code == 401
        assert stranger.get(place + path).status_code == 404
    for method, path, body in (
        ("PATCH", "", {"published": True}),
        ("DELETE", "", None),
        ("POST", "/match", {}),
        ("POST", "/start", None),
        ("POST", "/comments", {"comments": [{"text": "x"}]}),
    ):
        assert client.request(method, place + path, json=body).status_code == 401
        assert stranger.request(method, place + path, json=body).status_code == 404
        assert viewer.request(method, place + path, json=body).status_code == 403
    assert stranger.get(f"/api/shops/{SHOP}/videos").status_code == 404
    assert viewer.post(f"/api/shops/{SHOP}/videos", json={"url": "https://x.example/y"}).status_code == 403


# ---- streams -----------------------------------------------------------------------------------------------------


def test_a_stream_is_added_started_stopped(seller: TestClient, database: Database) -> None:
    body = {"url": "rtmp://in.example/live/key", "title": "Tonight", "playback_url": "https://cdn.example/x.m3u8"}
    answer = seller.post(f"/api/shops/{SHOP}/streams", json=body)
    assert answer.status_code == 201
    stream = answer.json()
    assert (stream["kind"], stream["state"], stream["wanted"]) == ("stream", "stopped", True)
    assert stream["playback_url"] == body["playback_url"]
    assert "rtmp" not in answer.text  # the address of a publisher holds its key
    place = f"/api/videos/{stream['video_id']}"
    for verb, wanted in (("stop", False), ("start", True)):
        assert seller.post(f"{place}/{verb}").json()["wanted"] is wanted
        with database.read() as session:
            assert [row.video_id for row in videos.wanted_streams(session)] == [stream["video_id"]] * wanted
    assert seller.post(f"{place}/match", json={}).status_code == 409


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "concat:a|b",
        "rtmp://127.0.0.1/live",
        "rtsp://10.0.0.1/x",
        "http://localhost/x.m3u8",
        "udp://239.0.0.1",
        "recording:nosuchvideo1",
        "recording:../../etc",
    ],
)
def test_a_stream_has_a_public_address(seller: TestClient, url: str) -> None:
    answer = seller.post(f"/api/shops/{SHOP}/streams", json={"url": url})
    assert answer.status_code == (404 if url.startswith("recording:") else 400)
    hostile = {"url": "rtmp://x.example/y", "playback_url": "javascript:alert(1)"}
    assert seller.post(f"/api/shops/{SHOP}/streams", json=hostile).status_code == 400


def test_a_recording_of_the_shop_plays_as_a_stream(seller: TestClient, stranger: TestClient, video_id: str) -> None:
    body = {"url": f"recording:{video_id}", "start": False}
    assert seller.post(f"/api/shops/{SHOP}/streams", json=body).status_code == 201
    assert stranger.post(f"/api/shops/{OTHER}/streams", json=body).status_code in (404, 409)


def test_comments_of_a_stream_count_for_their_time_or_for_now(
    seller: TestClient, video_id: str, database: Database
) -> None:
    stream = seller.post(f"/api/shops/{SHOP}/streams", json={"url": "rtmp://x.example/y"}).json()["video_id"]
    with database.write() as session:
        videos.change_video(session, stream, duration_s=42.5)
    body = {"comments": [{"text": "now", "user": "Ann"}, {"text": "then", "time_s": 7}]}
    assert seller.post(f"/api/videos/{stream}/comments", json=body).json() == {"taken": 2}
    with database.read() as session:
        found = words.list_comments(session, stream)
    assert found == [records.Comment(7.0, "", "then"), records.Comment(42.5, "Ann", "now")]
    assert seller.post(f"/api/videos/{video_id}/comments", json=body).status_code == 409
    assert seller.post(f"/api/videos/{stream}/comments", json={"comments": []}).status_code == 422


def test_private_addresses_are_taken_where_that_was_asked_for(tmp_path: Path) -> None:
    from shopcue.server.addresses import WEB, check_address

    assert check_address("http://127.0.0.1:8000/a.mp4", WEB, allow_private=True)
    assert ServerSettings(tmp_path).allow_private is False
