"""The job that embeds a shop's pictures anew, after the encoder has changed."""

from __future__ import annotations

from shopcue.database.tables import Job
from shopcue.server.work.place import Outcome, Place, Update, catalog_change


def reindex(job: Job, place: Place, update: Update) -> Outcome:
    """Embed all pictures of a shop by the encoder of today; what a former attempt has done is not done again."""
    place.store.reindex(job.shop, place.encoder, lambda done, total: update("pictures", done, total))
    products = place.store.products(job.shop, limit=1).total
    result = {"products": products, "fingerprint": place.encoder.fingerprint}
    return Outcome(result, catalog_change(place.store, job.shop))
