"""The figures that are only known when Prometheus asks: jobs, streams, workers, catalogues, disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from shopcue.database.events import last_event_id
from shopcue.database.jobs import queued_since
from shopcue.server.counts import count_jobs, count_shops, count_streams
from shopcue.server.services import Services


def gauges(parts: Services, followers: int) -> Iterator[Metric]:
    """Yield the figures of now; followers: how many connections follow live events.

    None names a shop: whoever may see figures may not see every shop.
    """
    with parts.database.read() as session:
        jobs, streams = count_jobs(session), count_streams(session)
        shops, queued_at, event_id = count_shops(session), queued_since(session), last_event_id(session)
    yield _by("shopcue_jobs", "Jobs.", ("kind", "state"), {key: float(count) for key, count in jobs.items()})
    yield _by("shopcue_streams", "Live streams.", ("state",), {(key,): float(n) for key, n in streams.items()})
    waited_s = 0.0 if queued_at is None else max(0.0, time.time() - queued_at)
    yield GaugeMetricFamily("shopcue_queue_age_seconds", "How long the oldest queued job has waited.", waited_s)
    yield GaugeMetricFamily("shopcue_workers", "Worker processes that are alive.", parts.alive())
    yield GaugeMetricFamily("shopcue_subscribers", "Connections that follow live events.", followers)
    yield CounterMetricFamily("shopcue_events", "Events that were ever written.", event_id)
    yield GaugeMetricFamily("shopcue_shops", "Shops.", shops)
    products = sum(parts.count_products(parts.store.shops()).values())
    yield GaugeMetricFamily("shopcue_products", "Products in all catalogues.", products)
    free = shutil.disk_usage(parts.settings.data).free
    yield GaugeMetricFamily("shopcue_disk_free_bytes", "What is free where the data are.", free)


def _by(name: str, about: str, labels: tuple[str, ...], values: dict[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
