"""What is kept of live streams, as the API serves it: against the film that was recorded."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import av
import numpy as np
import PIL.Image
import pytest
from starlette.testclient import TestClient

from clips import picture_number
from server.catalogue import stock
from server.conftest import SHOP
from server.listening import follow, listening
from server.matched import COAT, add_matched, focus
from shopcue.database import Database, videos
from shopcue.database.focuses import put_focuses
from shopcue.database.tables import Video
from shopcue.server.recordings import Recordings
from shopcue.server.services import Services
from shopcue.server.settings import ServerSettings
from shopcue.sources.recorder import Recorder
from shopcue.sources.recordings import Segment, Shelf, read_recording
from sources.servers import FPS, write_numbered

LENGTH_S = 6.0
STARTS_S = (3.0, 20.0)
"""Where the two connections of the stream begin; the second one shows the film again."""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film whose pictures say their numbers, with B-frames and sound."""
    return write_numbered(tmp_path_factory.mktemp("film") / "film.ts", LENGTH_S)


@pytest.fixture(scope="module")
def kept(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a recorder makes of the film, sent twice."""
    folder = tmp_path_factory.mktemp("kept") / "recording"
    for start_s in STARTS_S:
        record(film, folder, start_s)
    return folder


def record(film: Path, folder: Path, start_s: float) -> None:
    """Record one connection, in three segments: no more than wait for a slow disk."""
    recorder = Recorder(folder, segment_s=2.0)
    send(film, recorder, start_s)
    recorder.close()
    assert not recorder.problem


def send(film: Path, recorder: Recorder, start_s: float) -> None:
    """Let a recorder take one connection, whose first picture stands at start_s of the stream."""
    with av.open(str(film)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert video.start_time is not None
        assert video.time_base is not None
        zero_s = video.start_time * video.time_base
        recorder.begin(video, audio)
        recorder.place(start_s)
        for packet in container.demux(video, audio):
            if packet.dts is not None:
                recorder.update(packet, float(packet.dts * packet.time_base - zero_s))
    recorder.end()


@pytest.fixture
def stream(parts: Services, database: Database) -> str:
    """A stream of the shop `SHOP` of which nothing is kept yet."""
    return add_stream(parts)


@pytest.fixture
def recorded(parts: Services, stream: str, kept: Path) -> str:
    """The same with its recording."""
    lay(parts, stream, kept)
    return stream


def add_stream(parts: Services, *, recorded: bool = True, playback_url: str | None = None) -> str:
    source = "rtmp://ann:secret@camera.example/live"
    with parts.database.write() as session:
        return videos.add_video(session, SHOP, "stream", "Live", source, playback_url, recorded=recorded).video_id


def lay(parts: Services, video_id: str, kept: Path) -> None:
    """Put a recording where the worker writes that of a stream."""
    folder = parts.settings.recording_folder(video_id)
    folder.parent.mkdir(parents=True)
    folder.symlink_to(kept)


def change(parts: Services, video_id: str, **fields: object) -> Video:
    with parts.database.write() as session:
        return videos.change_video(session, video_id, **fields)


def number(jpeg: bytes) -> int:
    """The number that a picture of the film says."""
    with PIL.Image.open(BytesIO(jpeg), formats=["JPEG"]) as picture:
        return picture_number(np.asarray(picture.convert("RGB"), np.uint8))


def error(client: TestClient, address: str, status: int = 404) -> str:
    answer = client.get(address)
    assert answer.status_code == status, answer.text
    line: str = answer.json()["error"]
    assert "\n" not in line
    assert "/videos/" not in line.replace("/api/videos/", "")  # where files lie is nobody's business
    return line


# ---- playlist and segments --------------------------------------------------------------------------------------


def test_the_playlist_is_the_recorders_own(viewer: TestClient, recorded: str, kept: Path) -> None:
    answer = viewer.get(f"/api/videos/{recorded}/recording/live.m3u8", headers={"Accept-Encoding": "identity"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.content == (kept / "live.m3u8").read_bytes()


def test_what_it_names_is_there_and_is_the_film(viewer: TestClient, recorded: str, tmp_path: Path) -> None:
    place = f"/api/videos/{recorded}/recording"
    names = re.findall(r"^[^#\s].*$", viewer.get(f"{place}/live.m3u8").text, re.MULTILINE)
    assert len(names) == 6
    shown = []
    for name in names:
        answer = viewer.get(f"{place}/{name}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp2t")
        assert answer.headers["cache-control"] == "private, max-age=86400, immutable"
        with av.open(BytesIO(answer.content), "r", format="mpegts") as container:
            shown += [
                picture_number(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
                for frame in container.decode(video=0)
            ]
    assert shown == 2 * list(range(round(LENGTH_S * FPS)))


def test_a_playlist_that_did_not_change_is_not_sent_again(
    viewer: TestClient, parts: Services, stream: str, film: Path
) -> None:
    folder = parts.settings.recording_folder(stream)
    record(film, folder, 0.0)
    address = f"/api/videos/{stream}/recording/live.m3u8"
    first = viewer.get(address)
    again = viewer.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    record(film, folder, 10.0)
    later = viewer.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert later.status_code == 200
    assert later.text.count(".ts\n") == 2 * first.text.count(".ts\n") == 6


def test_long_playlists_are_sent_zipped(viewer: TestClient, parts: Services, stream: str) -> None:
    lines = ["#EXTM3U", "# origin 2026-01-01T00:00:00+00:00"]
    for n in range(2_000):
        lines += [f"#EXT-X-PROGRAM-DATE-TIME:2026-01-01T{n // 600:02}:{n // 10 % 60:02}:{n % 10 * 6:02}+00:00"]
        lines += ["#EXTINF:6.000000,", f"{n:08}.ts"]
    folder = parts.settings.recording_folder(stream)
    folder.mkdir(parents=True)
    (folder / "live.m3u8").write_text("\n".join(lines))
    address = f"/api/videos/{stream}/recording/live.m3u8"
    plain = viewer.get(address, headers={"Accept-Encoding": "identity"})
    zipped = viewer.get(address, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert {answer.headers["vary"] for answer in (plain, zipped)} == {"Accept-Encoding"}
    assert zipped.text == plain.text == "\n".join(lines)
    assert int(zipped.headers["content-length"]) < len(plain.content) / 5


def test_a_part_of_a_segment(viewer: TestClient, recorded: str, kept: Path) -> None:
    address, whole = f"/api/videos/{recorded}/recording/00000001.ts", (kept / "00000001.ts").read_bytes()
    part = viewer.get(address, headers={"Range": "bytes=188-563"})
    assert (part.status_code, part.content) == (206, whole[188:564])
    assert part.headers["content-range"] == f"bytes 188-563/{len(whole)}"
    assert viewer.get(address, headers={"Range": "bytes=-188"}).content == whole[-188:]
    assert viewer.get(address, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416


HOSTILE = (
    *("../../../shopcue.db", "..", "../media.mp4", "/etc/passwd", "%2e%2e%2fpasswd", "C:\\0.ts", "", "live.m3u8.part"),
    *("0000000.ts", "000000000.ts", "-0000001.ts", "0000000٣.ts", "00000000.TS", "00000000.ts.part", "00000000.ts/"),
    *("00000000.ts\n", "00000000.ts\x00", "\x0000000000.ts", "\ud800"),
)


def test_only_names_of_segments_lead_to_files(viewer: TestClient, parts: Services, recorded: str) -> None:
    for name in HOSTILE:
        # Every byte as %xx, so that no client puts it right; slashes as they are in a second attempt.
        for plain in (b"", b"/"):
            coded = name.encode("utf-8", "surrogatepass")
            text = "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in coded)
            answer = viewer.get(f"/api/videos/{recorded}/recording/{text}")
            assert answer.status_code in (404, 422), (name, answer.status_code)
            assert answer.headers["content-type"] == "application/json"
            assert str(parts.settings.data) not in answer.text


def test_a_segment_that_is_gone_and_one_that_is_not_there_yet(viewer: TestClient, recorded: str) -> None:
    assert "has no segment 00000077.ts" in error(viewer, f"/api/videos/{recorded}/recording/00000077.ts")


# ---- what there is ----------------------------------------------------------------------------------------------


def test_what_is_kept_is_described(viewer: TestClient, recorded: str, kept: Path) -> None:
    found = viewer.get(f"/api/videos/{recorded}/recording").json()
    assert found["spans"] == [pytest.approx((start_s, start_s + LENGTH_S), abs=0.01) for start_s in STARTS_S]
    assert found["bytes"] == sum(file.stat().st_size for file in kept.glob("*.ts"))
    assert datetime.fromisoformat(found["origin"]) == read_recording(kept).origin
    assert found["problem"] == ""


def test_why_nothing_more_is_recorded_is_said(viewer: TestClient, parts: Services, recorded: str) -> None:
    for said, problem in (("on", ""), ("", ""), ("the disk does not keep up", "the disk does not keep up")):
        change(parts, recorded, health={"frames": 1, "recording": said})
        assert viewer.get(f"/api/videos/{recorded}/recording").json()["problem"] == problem


def test_where_nothing_is_kept_the_reason_is_said(viewer: TestClient, parts: Services, stream: str) -> None:
    for place in ("recording", "recording/live.m3u8", "frame?t=1", "poster"):
        assert "recorded yet" in error(viewer, f"/api/videos/{stream}/{place}")
    change(parts, stream, health={"recording": "vp9 pictures cannot be recorded"})
    assert "vp9 pictures" in error(viewer, f"/api/videos/{stream}/recording/live.m3u8")
    other = add_stream(parts, recorded=False)
    assert "recording=true" in error(viewer, f"/api/videos/{other}/recording")
    upload = add_matched(parts)
    with parts.database.write() as session:
        played = videos.add_video(session, SHOP, "stream", "Again", f"recording:{upload}").video_id
    assert f"plays the recording {upload}" in error(viewer, f"/api/videos/{played}/recording/live.m3u8")
    assert f"/api/videos/{upload}/media" in error(viewer, f"/api/videos/{upload}/recording/live.m3u8")


def test_a_server_that_keeps_nothing_says_so_and_shows_what_it_kept(
    viewer: TestClient, parts: Services, stream: str, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ServerSettings(parts.settings.data, workers=0, keep_hours=0)
    monkeypatch.setattr(parts, "recordings", Recordings(settings))
    assert "--keep-hours" in error(viewer, f"/api/videos/{stream}/recording")
    lay(parts, stream, kept)
    assert viewer.get(f"/api/videos/{stream}/recording").status_code == 200


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"#EXTM3U\n", b"#EXTM3U\n# origin never\n", b"# origin 2026-01-01T00:00:00+00:00\n"]
)
def test_a_playlist_that_makes_no_sense_is_no_recording(
    viewer: TestClient, parts: Services, stream: str, content: bytes
) -> None:
    folder = parts.settings.recording_folder(stream)
    folder.mkdir(parents=True)
    (folder / "live.m3u8").write_bytes(content)
    for place in ("recording", "frame?t=1", "poster"):
        error(viewer, f"/api/videos/{stream}/{place}")


# ---- pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start_s", STARTS_S)
def test_a_frame_is_the_picture_of_the_film_at_that_time(viewer: TestClient, recorded: str, start_s: float) -> None:
    for at in (0, 1, 24, 49, 50, 51, 77, 99, 100, 149):
        time_s = start_s + (at + 0.5) / FPS
        answer = viewer.get(f"/api/videos/{recorded}/frame", params={"t": f"{time_s:.4f}", "side": 320})
        assert answer.status_code == 200, answer.text
        assert number(answer.content) == at


def test_what_was_not_recorded_has_no_frame(viewer: TestClient, recorded: str) -> None:
    for time_s in (0, 2.9, 9.1, 19.5, 26.1, 1e6):
        assert "not in its recording" in error(viewer, f"/api/videos/{recorded}/frame?t={time_s}")


def test_a_frame_of_a_segment_that_was_deleted_meanwhile(
    viewer: TestClient, parts: Services, stream: str, film: Path
) -> None:
    folder = parts.settings.recording_folder(stream)
    record(film, folder, 0.0)
    assert viewer.get(f"/api/videos/{stream}/frame?t=4.5").status_code == 200
    (folder / "00000002.ts").unlink()
    assert "00000002.ts" in error(viewer, f"/api/videos/{stream}/frame?t=5.0")


def test_the_poster_is_of_the_last_minutes(viewer: TestClient, parts: Services, stream: str, kept: Path) -> None:
    assert viewer.get(f"/api/videos/{stream}").json()["poster"] is None
    shelf = Shelf(parts.settings.recording_folder(stream), keep_s=None, keep_bytes=None)
    contents = [(kept / f"{n:08}.ts").read_bytes() for n in range(3)]
    for n in range(54):  # the 50th begins at picture 100 of the film
        shelf.add(Segment(n, 2.0 * n, 2.0, follows=True), contents[n % 3])
    address = viewer.get(f"/api/videos/{stream}").json()["poster"]
    assert address == f"/api/videos/{stream}/poster"
    answer = viewer.get(address)
    assert answer.headers["content-type"] == "image/jpeg"
    assert number(answer.content) == 100 + FPS
    with PIL.Image.open(BytesIO(answer.content)) as picture:
        assert picture.size == (320, 180)


# ---- who may see it ---------------------------------------------------------------------------------------------

PLACES = ("recording", "recording/live.m3u8", "recording/00000000.ts", "frame?t=4", "poster")


def test_who_may_not_see_the_stream_sees_nothing_of_it(
    client: TestClient, stranger: TestClient, viewer: TestClient, recorded: str
) -> None:
    for place in PLACES:
        assert viewer.get(f"/api/videos/{recorded}/{place}").status_code == 200
        assert client.get(f"/api/videos/{recorded}/{place}").status_code == 401
        assert f"no video '{recorded}'" in error(stranger, f"/api/videos/{recorded}/{place}")


def test_everyone_sees_a_published_stream(client: TestClient, parts: Services, recorded: str, kept: Path) -> None:
    place = f"/api/public/videos/{recorded}"
    for address in (place, f"{place}/poster", f"{place}/recording/live.m3u8", f"{place}/recording/00000000.ts"):
        assert "there is no video" in error(client, address)
    change(parts, recorded, published=True, state="live")
    document = client.get(place).json()
    assert (document["live"], document["playback_url"]) == (True, None)
    assert (document["media"], document["poster"]) == (f"{place}/recording/live.m3u8", f"{place}/poster")
    playlist = client.get(document["media"], headers={"Origin": "https://blog.example"})
    assert (playlist.headers["cache-control"], playlist.headers["access-control-allow-origin"]) == (
        "public, no-cache",
        "*",
    )
    assert playlist.text == (kept / "live.m3u8").read_text()
    segment = client.get(f"{place}/recording/00000000.ts", headers={"Range": "bytes=0-187"})
    assert (segment.status_code, segment.content) == (206, (kept / "00000000.ts").read_bytes()[:188])
    assert segment.headers["cache-control"] == "public, max-age=300"
    assert number(client.get(document["poster"]).content) < LENGTH_S * FPS
    change(parts, recorded, state="stopped")
    ended = client.get(place).json()
    assert (ended["live"], ended["media"]) == (False, document["media"])
    change(parts, recorded, published=False)
    assert client.get(document["media"]).status_code == 404


def test_what_a_stream_shows_elsewhere_is_not_shown_from_here(
    client: TestClient, parts: Services, database: Database, kept: Path
) -> None:
    video_id = add_stream(parts, playback_url="https://cdn.example/live.m3u8")
    lay(parts, video_id, kept)
    change(parts, video_id, published=True, state="live")
    place = f"/api/public/videos/{video_id}"
    document = client.get(place).json()
    assert (document["media"], document["playback_url"]) == (None, "https://cdn.example/live.m3u8")
    for name in ("live.m3u8", "00000000.ts"):
        assert "does not play from a recording" in error(client, f"{place}/recording/{name}")


def test_nothing_is_said_to_everyone_of_a_recording_that_is_not_there(
    client: TestClient, parts: Services, stream: str
) -> None:
    change(parts, stream, published=True, health={"recording": "No space left on /dev/secret"})
    place = f"/api/public/videos/{stream}"
    assert client.get(place).json()["media"] is None
    assert "secret" not in error(client, f"{place}/recording/live.m3u8")
    assert "secret" not in client.get(place).text


def test_followers_learn_where_a_stream_plays_once_it_does(parts: Services, stream: str, kept: Path) -> None:
    change(parts, stream, published=True)
    with listening(parts) as address, follow(f"{address}/api/public/videos/{stream}/events") as events:
        change(parts, stream, state="starting")
        assert events.next("stream.update")["data"]["media"] is None
        lay(parts, stream, kept)
        change(parts, stream, state="live", health={"recording": "on", "frames": 3})
        told = events.next("stream.update")["data"]
        assert told["media"] == f"/api/public/videos/{stream}/recording/live.m3u8"
        assert "health" not in told


# ---- the rest ---------------------------------------------------------------------------------------------------


def test_a_stream_says_whether_it_is_recorded_and_how_it_fares(seller: TestClient, parts: Services) -> None:
    body = {"url": "rtmp://camera.example/live", "start": False}
    made = seller.post(f"/api/shops/{SHOP}/streams", json=body | {"recording": False}).json()
    assert (made["recorded"], made["health"]) == (False, None)
    made = seller.post(f"/api/shops/{SHOP}/streams", json=body).json()
    assert (made["recorded"], made["health"]) == (True, None)
    health: dict[str, object] = {
        "frames": 90,
        "dropped": 2,
        "waiting": 1,
        "connections": 3,
        "faults": 1,
        "behind_s": 0.25,
    }
    health |= {"deaf_s": 1.5, "recording": "on"}
    change(parts, made["video_id"], health=health)
    assert seller.get(f"/api/videos/{made['video_id']}").json()["health"] == health
    upload = seller.get(f"/api/videos/{add_matched(parts)}").json()
    assert (upload["recorded"], upload["health"]) == (False, None)


@pytest.fixture
def writing(parts: Services, stream: str, film: Path) -> Iterator[Recorder]:
    """A recorder as the worker has it, in the midst of a stream."""
    recorder = Recorder(parts.settings.recording_folder(stream), segment_s=2.0)
    send(film, recorder, 0.0)
    yield recorder
    recorder.close()


def test_deleting_a_stream_deletes_what_is_kept_also_while_it_is_written(
    seller: TestClient, parts: Services, stream: str, writing: Recorder, film: Path
) -> None:
    assert seller.delete(f"/api/videos/{stream}").status_code == 204
    send(film, writing, 10.0)  # the worker learns of it a moment later
    writing.close()
    assert writing.problem
    assert not parts.settings.video_folder(stream).exists()
    assert list(parts.settings.temporary_folder.iterdir()) == []
    assert seller.get(f"/api/videos/{stream}/recording/live.m3u8").status_code == 404


def test_the_report_of_a_stream_shows_what_is_kept_of_it(seller: TestClient, parts: Services, recorded: str) -> None:
    stock(parts, SHOP, [COAT])
    with parts.database.write() as session:
        video = videos.get_video(session, recorded)
        # The middle of each is where its frame is from: the second one was not recorded.
        put_focuses(session, video, [focus(COAT, 4, 6), focus(COAT, 10, 18), focus(COAT, 22, 24)])
    page = seller.get(f"/api/videos/{recorded}/exports/report.html").text
    parts.settings.recording_folder(recorded).unlink()
    without = seller.get(f"/api/videos/{recorded}/exports/report.html").text
    images = [set(re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", text)) for text in (page, without)]
    shown = [number(base64.b64decode(image)) for image in images[0] - images[1]]
    assert sorted(shown) == [2 * FPS, 3 * FPS]


def test_corrections_of_a_stream_come_with_their_pictures(seller: TestClient, parts: Services, recorded: str) -> None:
    stock(parts, SHOP, [COAT])
    start_s, end_s = 3.5, 4.5
    focus = {"product_id": COAT.product_id, "start_s": start_s, "end_s": end_s}
    assert seller.post(f"/api/videos/{recorded}/focuses", json=focus).status_code == 201
    with ZipFile(BytesIO(seller.get(f"/api/shops/{SHOP}/corrections.zip").content)) as archive:
        [crop] = [name for name in archive.namelist() if name.startswith("crops/")]
        shown_s = STARTS_S[0] + number(archive.read(crop)) / FPS
    assert start_s <= shown_s < end_s
