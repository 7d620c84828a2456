"""Sends a shop's events to its webhooks: signed, in order, tried again when that fails, and never to private places.

An address is resolved once and the connection goes to exactly what was checked; redirects are not followed. Each event
arrives once or, when a process dies at the wrong moment, more often: `Shopcue-Event-Id` tells. A webhook that fails is
left alone for a while, so that it does not hold up the others.
"""

from __future__ import annotations

import hmac
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPException

from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

from shopcue.catalog.web import (
    Permit,
    Resolve,
    Target,
    connection_to,
    ended_at,
    is_public_web,
    permitted_addresses,
    resolve_host,
    take_apart,
)
from shopcue.database import Database
from shopcue.database.tables import Event
from shopcue.database.webhooks import (
    Due,
    awaits_sending,
    due_deliveries,
    put_back,
    queue_deliveries,
    settle_delivery,
)
from shopcue.errors import UnsafeAddress
from shopcue.server.live import event_fields
from shopcue.server.rounds import Rounds

_log = logging.getLogger(__name__)

MAX_ATTEMPTS = 9
"""How often a delivery is tried, over about half a day."""
_FIRST_RETRY_S, _LONGEST_RETRY_S = 5.0, 6 * 3_600.0
_LONGEST_REST_S = 60.0
_HOLD_S = 180.0  # longer than a batch can take; after a kill -9 it is sent again then
_BATCH = 10
_AT_ONCE = 8  # webhooks
_MAX_ERROR = 300
_GONE = 410
_MAX_ADDRESSES = 3


@dataclass(frozen=True, slots=True)
class Reply:
    """How an attempt went. status: of the answer, None if none came. error: why it did not arrive, "" if it did."""

    status: int | None
    error: str = ""
    final: bool = False

    @property
    def arrived(self) -> bool:
        """Whether the other side took it."""
        return not self.error


def signature(secret: str, body: bytes, at: int) -> str:
    """Return the header `Shopcue-Signature`: `t=<seconds since 1970>,v1=<hex HMAC-SHA256 of "<t>.<body>">`."""
    digest = hmac.new(secret.encode(), b"%d." % at + body, "sha256").hexdigest()
    return f"t={at},v1={digest}"


def backoff_s(attempts: int) -> float:
    """Return how long to wait after so many failed attempts: four times longer each time, up to six hours."""
    return min(_FIRST_RETRY_S * 4.0 ** (attempts - 1), _LONGEST_RETRY_S)


class Poster:
    """Sends one body to one address.

    total_s: how long that may take, until the status line of the answer is there; nothing more of it is read. resolve,
    permit: how names become addresses, and to which of them connections may be made; the defaults are the safe ones.
    """

    def __init__(
        self, *, total_s: float = 10.0, resolve: Resolve = resolve_host, permit: Permit = is_public_web
    ) -> None:
        self._total_s = total_s
        self._resolve = resolve
        self._permit = permit

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Reply:
        """Send `body` and return how that went; raises nothing."""
        deadline_s = time.monotonic() + self._total_s
        try:
            target = take_apart(url)
            with self._connected(target, deadline_s) as connection:
                headers = {"Host": target.authority, "User-Agent": "shopcue", **headers}
                connection.request("POST", target.path, body, headers, preload_content=False)
                status = connection.getresponse().status
            if time.monotonic() >= deadline_s:  # the end of the answer may be our own hanging up
                raise TimeoutError
        except UnsafeAddress as error:
            return Reply(None, str(error)[:_MAX_ERROR], final=True)
        except (HTTPError, HTTPException, OSError, ValueError) as error:
            late = time.monotonic() >= deadline_s
            reason = f"took longer than {self._total_s:g} s" if late else str(error) or type(error).__name__
            return Reply(None, f"no answer: {reason}"[:_MAX_ERROR])
        if 200 <= status < 300:
            return Reply(status)
        advice = "; give the address that it leads to" if 300 <= status < 400 else ""
        return Reply(status, f"answered with status {status}, expected 2xx{advice}", final=status == _GONE)

    @contextmanager
    def _connected(self, target: Target, deadline_s: float) -> Iterator[HTTPConnection]:
        """Give a connection to the first of the host's addresses that lets one be made, which ends at the deadline."""
        problem: Exception = TimeoutError("out of time")
        for address in permitted_addresses(target, self._resolve, self._permit)[:_MAX_ADDRESSES]:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                break
            connection = connection_to(target, address, left_s)
            try:
                connection.connect()  # its time-out is one for the whole, the handshake of TLS included
            except (HTTPError, OSError) as error:
                connection.close()
                problem = error
                continue
            with closing(connection), ended_at(connection.sock, deadline_s):
                yield connection
                return
        raise problem


@dataclass(slots=True)
class _Rest:
    """How often in a row a webhook failed, and until when, in seconds of the monotonic clock, it is left alone."""

    times: int = 0
    until_s: float = 0.0


class WebhookSender:
    """Sends what is due, in threads of its own, until it is stopped.

    poster: what sends. every_s: how often it looks for something new. first_rest_s: how long a webhook is left alone
    after it failed once; each further failure in a row doubles that, up to a minute. retry_s: how long to wait after so
    many failed attempts at one delivery.
    """

    def __init__(
        self,
        database: Database,
        poster: Poster | None = None,
        *,
        every_s: float = 0.5,
        first_rest_s: float = 1.0,
        retry_s: Callable[[int], float] = backoff_s,
    ) -> None:
        self._database = database
        self._poster = poster or Poster()
        self._first_rest_s = first_rest_s
        self._retry_s = retry_s
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        self._rests: dict[str, _Rest] = {}
        self._rounds = Rounds(self._look, every_s, "shopcue-webhooks")

    def start(self) -> None:
        """Begin to send."""
        self._rounds.start()

    def stop(self) -> None:
        """Send no more; what is on its way is not waited for, and sent again at the next start if need be."""
        self._rounds.stop()

    def _look(self) -> None:
        """Queue what is new and start on what is due, one thread for each webhook."""
        with self._database.read() as session:
            if not awaits_sending(session, time.time()):
                return
        with self._lock:
            room = _AT_ONCE - len(self._busy)
            skip = self._busy | {name for name, rest in self._rests.items() if time.monotonic() < rest.until_s}
        with self._database.write() as session:
            while queue_deliveries(session):
                pass
            due = due_deliveries(session, time.time(), room * _BATCH, each=_BATCH, skip=skip, hold_s=_HOLD_S)
        batches: dict[str, list[Due]] = {}
        for one in due:
            batches.setdefault(one.webhook.webhook_id, []).append(one)
        for number, (webhook_id, batch) in enumerate(batches.items()):
            if number >= room:
                self._put_back(batch)
                continue
            with self._lock:
                self._busy.add(webhook_id)
            threading.Thread(target=self._send, args=(webhook_id, batch), daemon=True).start()

    def _send(self, webhook_id: str, batch: Sequence[Due]) -> None:
        """Send a batch of one webhook, in order, until one fails."""
        try:
            for place, due in enumerate(batch):
                reply = self._poster.post(due.webhook.url, *message(due.event, due.webhook.secret))
                self._settle(due, reply)
                if not reply.arrived or self._rounds.stopping:
                    self._put_back(batch[place + 1 :])
                    break
        except Exception:
            _log.exception("the webhook %s cannot be served", webhook_id)
        finally:
            with self._lock:
                self._busy.discard(webhook_id)

    def _settle(self, due: Due, reply: Reply) -> None:
        """Note how an attempt went, and let a webhook that failed rest."""
        self._note_rest(due.webhook.webhook_id, reply)
        attempts = due.delivery.attempts + 1
        retry_at = None
        if not reply.arrived and not reply.final and attempts < MAX_ATTEMPTS:
            retry_at = time.time() + self._retry_s(attempts) * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
        with self._database.write() as session:
            settle_delivery(
                session,
                due.delivery.delivery_id,
                delivered=reply.arrived,
                retry_at=retry_at,
                status_code=reply.status,
                error=reply.error,
                gone=reply.status == _GONE,
            )

    def _note_rest(self, webhook_id: str, reply: Reply) -> None:
        with self._lock:
            if reply.arrived:
                self._rests.pop(webhook_id, None)
                return
            rest = self._rests.setdefault(webhook_id, _Rest())
            rest.until_s = time.monotonic() + min(self._first_rest_s * 2.0**rest.times, _LONGEST_REST_S)
            rest.times = min(rest.times + 1, 16)

    def _put_back(self, batch: Sequence[Due]) -> None:
        with self._database.write() as session:
            put_back(session, [due.delivery.delivery_id for due in batch], time.time())


def webhook_sender(database: Database, *, allow_private: bool) -> WebhookSender:
    """Return what sends the webhooks of a server. allow_private: to every address, else to those of the public web."""
    return WebhookSender(database, Poster(permit=lambda address, port: allow_private or is_public_web(address, port)))


def message(event: Event, secret: str) -> tuple[bytes, dict[str, str]]:
    """Return what a webhook is sent of an event: the body, as live events say it, and its headers, signed now."""
    body = json.dumps(event_fields(event), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return body, {
        "Content-Type": "application/json",
        "Shopcue-Event-Id": str(event.event_id),
        "Shopcue-Signature": signature(secret, body, int(time.time())),
    }
