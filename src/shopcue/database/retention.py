"""How long what piles up is kept: nothing in the database grows without bound."""

from __future__ import annotations

import time
from dataclasses import dataclass

from shopcue.database.events import prune_events
from shopcue.database.jobs import prune_items, prune_jobs
from shopcue.database.sessions import Database
from shopcue.database.webhooks import prune_deliveries

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many seconds things are kept after they happened or ended."""

    events_s: float = 7 * _DAY_S
    deliveries_s: float = 7 * _DAY_S
    items_s: float = 30 * _DAY_S
    jobs_s: float = 180 * _DAY_S


def prune(database: Database, retention: Retention | None = None) -> None:
    """Delete what is older than it is kept, in short transactions. To be called every few minutes by one process."""
    kept, now = retention or Retention(), time.time()
    while True:
        with database.write() as session:
            if not prune_events(session, now - kept.events_s):
                break
    with database.write() as session:
        prune_deliveries(session, now - kept.deliveries_s)
        prune_items(session, now - kept.items_s)
        prune_jobs(session, now - kept.jobs_s)
