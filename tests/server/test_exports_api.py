"""Exports through the API: what review has left, in every format, read back by readers that are not ours."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import webvtt
from starlette.testclient import TestClient

from clips import MakeVideo
from server.matched import COAT, FOUND, HAT, MUG, SCRIPT, add_matched, add_stream, open_focus
from shopcue.database import Database
from shopcue.exports import read_focuses
from shopcue.server.services import Services

FORMATS = ("focuses.json", "focuses.vtt", "chapters.txt", "focuses.csv", "report.html")


@pytest.fixture
def video(parts: Services, database: Database) -> str:
    return add_matched(parts)


@pytest.fixture
def reviewed(seller: TestClient, video: str) -> list[tuple[str, str, float, float]]:
    """Reviews the video; gives what it shows after that: (product_id, title, start_s, end_s)."""
    first, second, third, _ = seller.get(f"/api/videos/{video}/focuses").json()["focuses"]
    for focus, body in (
        (first, {"action": "move", "start_s": 4, "end_s": 21.5}),
        (second, {"action": "replace", "product_id": "hat"}),
        (third, {"action": "reject"}),
    ):
        seller.post(f"/api/focuses/{focus['focus_id']}/review", json=body).raise_for_status()
    added = {"product_id": MUG.product_id, "start_s": 45, "end_s": 50}
    seller.post(f"/api/videos/{video}/focuses", json=added).raise_for_status()
    return [
        ("coat", COAT.title, 4, 21.5),
        ("hat", HAT.title, 25, 40.5),
        (MUG.product_id, MUG.title, 45, 50),
        ("coat", COAT.title, 60, 70),
    ]


def export(client: TestClient, video: str, name: str) -> str:
    answer = client.get(f"/api/videos/{video}/exports/{name}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert "private/show.mp4" not in answer.text
    return answer.content.decode()


def test_json_is_as_reviewed_and_read_back(viewer: TestClient, video: str, reviewed: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "focuses.json"
    path.write_text(export(viewer, video, "focuses.json"), encoding="utf-8")
    document = read_focuses(path)
    assert [(f.product_id, f.title, f.start_s, f.end_s) for f in document.focuses] == reviewed
    assert document.video == f"Show {SCRIPT}"
    assert (document.duration_s, document.models) == (80, {"image": "house-test"})
    assert document.focuses[1].evidence == FOUND[1].evidence


def test_subtitles_table_and_chapters_are_as_reviewed(viewer: TestClient, video: str, reviewed: list[Any]) -> None:
    cues = webvtt.from_string(export(viewer, video, "focuses.vtt")).captions
    assert [(cue.start_in_seconds, cue.end_in_seconds) for cue in cues] == [
        (int(start_s), int(end_s)) for _, _, start_s, end_s in reviewed
    ]
    rows = list(csv.DictReader(io.StringIO(export(viewer, video, "focuses.csv").removeprefix("\ufeff"))))
    assert [(row["product_id"], row["title"], float(row["start_s"]), float(row["end_s"])) for row in rows] == reviewed
    assert export(viewer, video, "chapters.txt").splitlines()[0].startswith("0:00 ")


def test_the_report_shows_what_was_reviewed_and_runs_nothing_of_strangers(
    viewer: TestClient, video: str, reviewed: list[Any]
) -> None:
    text = export(viewer, video, "report.html")
    assert "3 of 24" in text  # products of the shop
    assert "3 of 4 focuses" in text  # the last one was not looked at
    assert "<script>alert" not in text
    assert text.count("data:image/jpeg") >= 3  # the products' own pictures
    answer = viewer.get(f"/api/videos/{video}/exports/report.html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_report_shows_frames_of_the_video(
    viewer: TestClient, parts: Services, video: str, make_video: MakeVideo, database: Database
) -> None:
    before = export(viewer, video, "report.html").count("data:image/jpeg")
    folder = parts.settings.video_folder(video)
    folder.mkdir(parents=True)
    make_video("media.mp4", range(0, 80, 2)).rename(folder / "media.mp4")
    assert export(viewer, video, "report.html").count("data:image/jpeg") >= before + len(FOUND)


@pytest.mark.parametrize("name", FORMATS)
def test_a_video_without_focuses_and_a_running_stream_are_exported_too(
    viewer: TestClient, parts: Services, database: Database, name: str
) -> None:
    empty, stream = add_matched(parts, found=()), add_stream(parts)
    open_focus(parts, stream)
    assert export(viewer, empty, name)
    text = export(viewer, stream, name)
    assert "rtmp" not in text
    if name == "focuses.json":
        (focus,) = json.loads(text)["focuses"]
        assert (focus["start_s"], focus["end_s"]) == (5, 6)


@pytest.mark.parametrize(
    "title", ['a"; filename="b.exe', "x\r\nSet-Cookie: a=b", "../../etc/passwd", "连衣裙", "", "é" * 500]
)
def test_no_title_gets_out_of_the_name_of_the_file(
    viewer: TestClient, parts: Services, database: Database, title: str
) -> None:
    video = add_matched(parts, title=title)
    answer = viewer.get(f"/api/videos/{video}/exports/focuses.csv")
    assert answer.status_code == 200
    kind, plain, coded = answer.headers["content-disposition"].split("; ")
    assert kind == "attachment"
    name = plain.removeprefix('filename="').removesuffix('"')
    assert all(c.isascii() and (c.isalnum() or c in "-_.") for c in name)
    assert name.endswith("focuses.csv")
    assert not set('\r\n/"; ') & set(coded)
    assert "set-cookie" not in answer.headers


def test_only_those_of_the_shop_export_and_only_what_there_is(
    client: TestClient, stranger: TestClient, viewer: TestClient, video: str
) -> None:
    for name in FORMATS:
        codes = [each.get(f"/api/videos/{video}/exports/{name}").status_code for each in (client, stranger)]
        assert codes == [401, 404]
    assert viewer.get(f"/api/videos/{video}/exports/focuses.exe").status_code == 422
    assert viewer.get(f"/api/videos/nothere/exports/{FORMATS[0]}").status_code == 404
