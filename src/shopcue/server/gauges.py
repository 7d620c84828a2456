"""The figures that are only known when Prometheus asks: jobs, streams, workers, catalogues, disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from shopcue.database.events import last_event_id
from shopcue.database.jobs import queued_since
from shopcue.database.tables import Video
from shopcue.database.videos import wanted_streams
from shopcue.server.counts import count_jobs, count_shops, count_streams
from shopcue.server.recordings import RECORDED
from shopcue.server.schemas import StreamHealth
from shopcue.server.services import Services

_HEALTH = {
    "frames": (
        "shopcue_stream_frames",
        CounterMetricFamily,
        "Frames that were looked at since the stream was started.",
    ),
    "dropped": (
        "shopcue_stream_dropped_frames",
        CounterMetricFamily,
        "Frames that were left out, because looking took too long.",
    ),
    "waiting": ("shopcue_stream_waiting_frames", GaugeMetricFamily, "Frames that are to be looked at."),
    "connections": ("shopcue_stream_connections", CounterMetricFamily, "Connections, the first one included."),
    "faults": ("shopcue_stream_faults", CounterMetricFamily, "Faults of ours, after which the stream went on."),
    "behind_s": ("shopcue_stream_behind_seconds", GaugeMetricFamily, "How old the last frame was when it was told."),
    "deaf_s": ("shopcue_stream_deaf_seconds", CounterMetricFamily, "Sound that nobody could listen to."),
}


def gauges(parts: Services, followers: int, shops: Collection[str] | None) -> Iterator[Metric]:
    """Yield the figures of now.

    followers: how many connections follow live events. shops: of which whoever asks may see the streams, None for all;
    the other figures name no shop.
    """
    with parts.database.read() as session:
        jobs, streams = count_jobs(session), count_streams(session)
        many, queued_at, event_id = count_shops(session), queued_since(session), last_event_id(session)
        running = [video for video in wanted_streams(session) if shops is None or video.shop in shops]
    yield _by("shopcue_jobs", "Jobs.", ("kind", "state"), {key: float(count) for key, count in jobs.items()})
    yield _by("shopcue_streams", "Live streams.", ("state",), {(key,): float(n) for key, n in streams.items()})
    waited_s = 0.0 if queued_at is None else max(0.0, time.time() - queued_at)
    yield GaugeMetricFamily("shopcue_queue_age_seconds", "How long the oldest queued job has waited.", waited_s)
    yield GaugeMetricFamily("shopcue_workers", "Worker processes that are alive.", parts.alive())
    yield GaugeMetricFamily("shopcue_subscribers", "Connections that follow live events.", followers)
    yield CounterMetricFamily("shopcue_events", "Events that were ever written.", event_id)
    yield GaugeMetricFamily("shopcue_shops", "Shops.", many)
    products = sum(parts.count_products(parts.store.shops()).values())
    yield GaugeMetricFamily("shopcue_products", "Products in all catalogues.", products)
    yield from _stream_figures(running)
    free = shutil.disk_usage(parts.settings.data).free
    yield GaugeMetricFamily("shopcue_disk_free_bytes", "What is free where the data are.", free)


def _stream_figures(streams: Sequence[Video]) -> Iterator[Metric]:
    """Yield how the streams that are to run fare, as their worker wrote it down."""
    told = [(video, StreamHealth.model_validate(video.health)) for video in streams if video.health is not None]
    for field, (name, family, about) in _HEALTH.items():
        metric = family(name, about, labels=("video", "shop"))
        for video, health in told:
            metric.add_metric((video.video_id, video.shop), float(getattr(health, field)))
        yield metric
    recording = GaugeMetricFamily("shopcue_stream_recording", "Whether it is recorded now.", labels=("video", "shop"))
    for video, health in told:
        recording.add_metric((video.video_id, video.shop), float(health.recording == RECORDED))
    yield recording


def _by(name: str, about: str, labels: tuple[str, ...], values: dict[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
