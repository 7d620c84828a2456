"""The job that embeds a shop's pictures anew, after the encoder has changed."""

from __future__ import annotations

from sqlalchemy.orm import Session

from shopcue.database import events
from shopcue.database.tables import Job
from shopcue.server.work.place import Outcome, Place, Update


def reindex(job: Job, place: Place, update: Update) -> Outcome:
    """Embed all pictures of a shop by the encoder of today; what a former attempt has done is not done again."""
    place.store.reindex(job.shop, place.encoder, lambda done, total: update("pictures", done, total))
    products, version = place.store.products(job.shop, limit=1).total, place.store.version(job.shop)

    def settle(session: Session) -> None:
        events.add_event(session, "catalog.update", job.shop, data={"products": products, "version": version})

    return Outcome({"products": products, "fingerprint": place.encoder.fingerprint}, settle)
