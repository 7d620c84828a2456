"""The tables, as typed rows.

Times in columns `*_at` are float seconds since 1970 (UTC); times in columns `*_s` are seconds from the start of the
video. JSON columns are replaced as a whole, never changed in place. Every text is cleaned when it is set.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Text,
    event,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column
from sqlalchemy.types import TypeDecorator

from shopcue.database.texts import clean, new_id


class CleanText(TypeDecorator[str]):
    """Text that every database can keep."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Clean what goes in."""
        return clean(value)


class CleanJson(TypeDecorator[Any]):
    """JSON whose texts every database can keep; NULL stands for None."""

    impl = JSON(none_as_null=True)  # not JSONB, which rounds numbers its own way
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Clean what goes in."""
        return clean(value)


Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts rows by columns of the type INTEGER alone
Json = dict[str, Any]


class Row(MappedAsDataclass, DeclarativeBase):
    """A row of a table; usable after the transaction that read it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own protocol
        str: CleanText,
        float: Double,
        int: Number,
        Json: CleanJson,
        list[Json]: CleanJson,
        list[str]: CleanJson,
    }


@event.listens_for(Row, "attribute_instrument")
def _clean_what_is_set(_: type[Row], __: str, attribute: Any) -> None:
    """Clean a value when it is set, so that a row in memory says what the database will say."""

    @event.listens_for(attribute, "set", retval=True)
    def _set(target: Row, value: Any, previous: Any, initiator: Any) -> Any:
        return clean(value)


class Shop(Row, kw_only=True):
    """A shop; deleting it deletes all that is its."""

    __tablename__ = "shops"

    shop: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    created_at: Mapped[float]


class Token(Row, kw_only=True):
    """Who may do what: role `admin` everywhere, `seller` and `viewer` in `shops`. Only a hash of the secret is kept."""

    __tablename__ = "tokens"

    token_id: Mapped[str] = mapped_column(primary_key=True, default_factory=new_id)
    name: Mapped[str]
    role: Mapped[str]
    shops: Mapped[list[str]]
    hash: Mapped[str]
    created_at: Mapped[float]
    expires_at: Mapped[float | None] = mapped_column(default=None)
    revoked_at: Mapped[float | None] = mapped_column(default=None)
    used_at: Mapped[float | None] = mapped_column(default=None)


class Upload(Row, kw_only=True):
    """A file on its way in: `offset` of `size` bytes are safe on disk."""

    __tablename__ = "uploads"
    __table_args__ = (Index(None, "shop", "state"), Index(None, "updated_at"))

    upload_id: Mapped[str] = mapped_column(primary_key=True, default_factory=new_id)
    shop: Mapped[str] = mapped_column(ForeignKey("shops.shop", ondelete="CASCADE"))
    kind: Mapped[str]
    name: Mapped[str]
    size: Mapped[int]
    offset: Mapped[int] = mapped_column(default=0)
    sha256: Mapped[str | None] = mapped_column(default=None)
    state: Mapped[str] = mapped_column(default="open")
    created_at: Mapped[float]
    updated_at: Mapped[float]


class Video(Row, kw_only=True):
    """A recording or a live stream of a shop.

    wanted: whether a stream is to run; listened: whether its speech is recognised; recorded: whether it is kept as it
    comes. health: how it fares while it runs, None before. reached_at: when it was as far as `duration_s` says. heard:
    whether the speech of a recording was recognised, also if nothing was said. models: what each model was that it was
    matched with, name -> fingerprint; empty before the first match, `matched_at`.
    """

    __tablename__ = "videos"
    __table_args__ = (Index(None, "shop", "created_at"),)

    video_id: Mapped[str] = mapped_column(primary_key=True, default_factory=new_id)
    shop: Mapped[str] = mapped_column(ForeignKey("shops.shop", ondelete="CASCADE"))
    kind: Mapped[str]
    title: Mapped[str]
    source: Mapped[str]
    playback_url: Mapped[str | None] = mapped_column(default=None)
    duration_s: Mapped[float | None] = mapped_column(default=None)
    width: Mapped[int | None] = mapped_column(default=None)
    height: Mapped[int | None] = mapped_column(default=None)
    state: Mapped[str]
    wanted: Mapped[bool] = mapped_column(default=False)
    listened: Mapped[bool] = mapped_column(default=False)
    published: Mapped[bool] = mapped_column(default=False)
    heard: Mapped[bool] = mapped_column(default=False)
    models: Mapped[Json] = mapped_column(default_factory=dict)
    matched_at: Mapped[float | None] = mapped_column(default=None)
    error: Mapped[str] = mapped_column(default="")
    created_at: Mapped[float]
    updated_at: Mapped[float]
    recorded: Mapped[bool] = mapped_column(default=True, server_default=true())
    health: Mapped[Json | None] = mapped_column(default=None)
    reached_at: Mapped[float | None] = mapped_column(default=None)


class Job(Row, kw_only=True):
    """Work that a worker does under a lease: when the lease runs out, another worker may take it over."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index(None, "state", "queued_at"),
        Index(None, "shop", "created_at"),
        Index(None, "video_id"),
        Index(None, "created_at"),
    )

    job_id: Mapped[str] = mapped_column(primary_key=True, default_factory=new_id)
    shop: Mapped[str] = mapped_column(ForeignKey("shops.shop", ondelete="CASCADE"))
    kind: Mapped[str]
    video_id: Mapped[str | None] = mapped_column(ForeignKey("videos.video_id", ondelete="CASCADE"), default=None)
    payload: Mapped[Json] = mapped_column(default_factory=dict)
    state: Mapped[str] = mapped_column(default="queued")
    stage: Mapped[str] = mapped_column(default="")
    done: Mapped[float] = mapped_column(default=0.0)
    total: Mapped[float] = mapped_column(default=0.0)
    attempts: Mapped[int] = mapped_column(default=0)
    cancel_asked: Mapped[bool] = mapped_column(default=False)
    worker: Mapped[str | None] = mapped_column(default=None)
    lease_until: Mapped[float | None] = mapped_column(default=None)
    error: Mapped[str] = mapped_column(default="")
    result: Mapped[Json | None] = mapped_column(default=None)
    created_at: Mapped[float]
    queued_at: Mapped[float]
    started_at: Mapped[float | None] = mapped_column(default=None)
    finished_at: Mapped[float | None] = mapped_column(default=None)


class JobItem(Row, kw_only=True):
    """One line of an ingest report: `status` is ok, partial or refused."""

    __tablename__ = "job_items"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    row: Mapped[int]
    product_id: Mapped[str]
    status: Mapped[str]
    reason: Mapped[str] = mapped_column(default="")


class Focus(Row, kw_only=True):
    """A product on screen from start_s to end_s, as it was found or as a person corrected it.

    origin: product_id, title, start_s, end_s as found; None for one that a person added. is_open: the product is still
    on screen in a live stream, also when a person has already reviewed the focus. doubt: how much it is worth a look,
    in [0, 1].
    """

    __tablename__ = "focuses"
    __table_args__ = (Index(None, "video_id", "start_s"), Index(None, "shop", "product_id", "status"))

    focus_id: Mapped[str] = mapped_column(primary_key=True, default_factory=new_id)
    video_id: Mapped[str] = mapped_column(ForeignKey("videos.video_id", ondelete="CASCADE"))
    shop: Mapped[str] = mapped_column(ForeignKey("shops.shop", ondelete="CASCADE"))
    product_id: Mapped[str]
    title: Mapped[str]
    start_s: Mapped[float]
    end_s: Mapped[float]
    score: Mapped[float]
    evidence: Mapped[Json]
    alternatives: Mapped[list[Json]] = mapped_column(default_factory=list)
    status: Mapped[str] = mapped_column(default="found")
    is_open: Mapped[bool] = mapped_column(default=False)
    doubt: Mapped[float] = mapped_column(default=0.0)
    origin: Mapped[Json | None] = mapped_column(default=None)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[float]
    updated_at: Mapped[float]


class Review(Row, kw_only=True):
    """What a person decided about a focus; it outlives the focus, for it teaches the next model."""

    __tablename__ = "reviews"
    __table_args__ = (
        Index(None, "focus_id"),
        Index(None, "shop", "review_id"),
        Index(None, "video_id"),
        {"sqlite_autoincrement": True},
    )

    review_id: Mapped[int] = mapped_column(primary_key=True, init=False)
    focus_id: Mapped[str]
    video_id: Mapped[str] = mapped_column(ForeignKey("videos.video_id", ondelete="CASCADE"))
    shop: Mapped[str] = mapped_column(ForeignKey("shops.shop", ondelete="CASCADE"))
    action: Mapped[str]
    before: Mapped[Json]
    after: Mapped[Json]
    who: Mapped[str]
    role: Mapped[str]
    at: Mapped[float]
    undone_by: Mapped[int | None] = mapped_column(default=None)


class Event(Row, kw_only=True):
    """Something that a page shows has changed. Ids grow in the order in which events become visible, and never return.

    shop and video_id are no foreign keys: an event may tell of what is gone.
    """

    __tablename__ = "events"
    __table_args__ = (
        Index(None, "shop", "event_id"),
        Index(None, "video_id", "event_id"),
        Index(None, "at"),
        {"sqlite_autoincrement": True},
    )

    event_id: Mapped[int] = mapped_column(primary_key=True, init=False)
    type: Mapped[str]
    shop: Mapped[str]
    video_id: Mapped[str | None] = mapped_column(default=None)
    media_s: Mapped[float | None] = mapped_column(default=None)
    at: Mapped[float]
    data: Mapped[Json]


class Webhook(Row, kw_only=True):
    """An address of a shop's own that is told of events. cursor: the last event that was considered for it."""

    __tablename__ = "webhooks"
    __table_args__ = (Index(None, "shop"),)

    webhook_id: Mapped[str] = mapped_column(primary_key=True, default_factory=new_id)
    shop: Mapped[str] = mapped_column(ForeignKey("shops.shop", ondelete="CASCADE"))
    url: Mapped[str]
    events: Mapped[list[str]]
    secret: Mapped[str]
    active: Mapped[bool] = mapped_column(default=True)
    cursor: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[float]


class Delivery(Row, kw_only=True):
    """One event on its way to one webhook."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index(None, "webhook_id", "event_id", unique=True),
        Index(None, "event_id"),
        Index(None, "state", "next_at"),
    )

    delivery_id: Mapped[str] = mapped_column(primary_key=True, default_factory=new_id)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.webhook_id", ondelete="CASCADE"))
    event_id: Mapped[int] = mapped_column(ForeignKey("events.event_id", ondelete="CASCADE"))
    state: Mapped[str] = mapped_column(default="waiting")
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[float]
    status_code: Mapped[int | None] = mapped_column(default=None)
    error: Mapped[str] = mapped_column(default="")
    updated_at: Mapped[float]


class Utterance(Row, kw_only=True):
    """An utterance of a video."""

    __tablename__ = "utterances"
    __table_args__ = (Index(None, "video_id", "start_s"),)

    utterance_id: Mapped[int] = mapped_column(primary_key=True, init=False)
    video_id: Mapped[str] = mapped_column(ForeignKey("videos.video_id", ondelete="CASCADE"))
    start_s: Mapped[float]
    end_s: Mapped[float]
    text: Mapped[str]


class Comment(Row, kw_only=True):
    """A comment of a viewer."""

    __tablename__ = "comments"
    __table_args__ = (Index(None, "video_id", "time_s"), {"sqlite_autoincrement": True})

    comment_id: Mapped[int] = mapped_column(primary_key=True, init=False)
    video_id: Mapped[str] = mapped_column(ForeignKey("videos.video_id", ondelete="CASCADE"))
    time_s: Mapped[float]
    user: Mapped[str]
    text: Mapped[str]
