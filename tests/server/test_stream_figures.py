"""What Prometheus is told of the streams: read by its own client's parser."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from server.conftest import OTHER, SHOP, Connect, Tokens
from shopcue.database import Database, videos

HEALTH = {"frames": 1200, "dropped": 7, "waiting": 2, "connections": 3, "faults": 1, "behind_s": 0.75, "deaf_s": 4.5}
FIGURES = {
    "shopcue_stream_frames_total": 1200.0,
    "shopcue_stream_dropped_frames_total": 7.0,
    "shopcue_stream_waiting_frames": 2.0,
    "shopcue_stream_connections_total": 3.0,
    "shopcue_stream_faults_total": 1.0,
    "shopcue_stream_behind_seconds": 0.75,
    "shopcue_stream_deaf_seconds_total": 4.5,
}
Samples = dict[tuple[str, str, str], float]


def figures(client: TestClient, address: str = "/metrics") -> Samples:
    """(name, video, shop) -> value, of all figures that name a stream."""
    answer = client.get(address)
    assert answer.status_code == 200
    found: Samples = {}
    kinds = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            if sample.name.startswith("shopcue_stream_"):
                key = (sample.name, sample.labels["video"], sample.labels["shop"])
                assert key not in found
                found[key], kinds[sample.name] = float(sample.value), family.type
    assert all(kind == ("counter" if name.endswith("_total") else "gauge") for name, kind in kinds.items())
    return found


def add(database: Database, shop: str = SHOP, recording: str = "on", *, wanted: bool = True, ran: bool = True) -> str:
    with database.write() as session:
        video_id = videos.add_video(session, shop, "stream", 'A "live"\n', "rtmp://x.example/y", wanted=wanted).video_id
        if ran:
            videos.change_video(session, video_id, health=HEALTH | {"recording": recording})
    return video_id


def test_how_each_stream_fares(admin: TestClient, database: Database) -> None:
    one, two = add(database), add(database, OTHER, "the disk does not keep up")
    assert figures(admin) == {
        **{
            (name, video, shop): value for name, value in FIGURES.items() for video, shop in ((one, SHOP), (two, OTHER))
        },
        ("shopcue_stream_recording", one, SHOP): 1.0,
        ("shopcue_stream_recording", two, OTHER): 0.0,
    }


def test_only_streams_that_are_to_run_and_did_have_figures(admin: TestClient, database: Database) -> None:
    add(database, wanted=False)
    add(database, ran=False)
    assert figures(admin) == {}


def test_a_token_sees_the_streams_of_its_shops(connect: Connect, tokens: Tokens, database: Database) -> None:
    mine, other = add(database), add(database, OTHER)
    seen = {
        token: {video for _, video, _ in figures(connect(token))}
        for token in (tokens.admin, tokens.viewer, tokens.stranger)
    }
    assert seen == {tokens.admin: {mine, other}, tokens.viewer: {mine}, tokens.stranger: {other}}
    local = connect(client=("127.0.0.1", 5))
    assert {video for _, video, _ in figures(local, "http://localhost/metrics")} == {mine, other}


@pytest.mark.parametrize("health", [{}, {"frames": 5, "news": "of a later version"}])
def test_what_a_worker_of_another_version_wrote_does_no_harm(
    admin: TestClient, database: Database, health: dict[str, object]
) -> None:
    video_id = add(database, ran=False)
    with database.write() as session:
        videos.change_video(session, video_id, health=health)
    found = figures(admin)
    assert found["shopcue_stream_frames_total", video_id, SHOP] == health.get("frames", 0)
    assert found["shopcue_stream_recording", video_id, SHOP] == 0
    assert admin.get(f"/api/videos/{video_id}").json()["health"]["dropped"] == 0
