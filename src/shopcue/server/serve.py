"""`shopcue serve`: the API and the pages in this process, the workers beside it."""

from __future__ import annotations

import fcntl
import logging
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

import uvicorn
from fastapi import FastAPI

from shopcue.database import Database
from shopcue.database.tokens import create_token, list_tokens
from shopcue.errors import SettingsError
from shopcue.server.app import create_app
from shopcue.server.delivery import webhook_sender
from shopcue.server.housekeeping import housekeeping
from shopcue.server.services import open_services
from shopcue.server.settings import ServerSettings
from shopcue.server.supervisor import Supervisor

__all__ = ["ServerSettings", "serve"]

_GRACE_S = 5
_MOST_WAITING = 1024
_MOST_CONNECTIONS = 4000
_MOST_FILES = 2 * _MOST_CONNECTIONS

Note = Callable[[str], None]
"""Takes a line for whoever started the server."""


def serve(settings: ServerSettings, note: Note, *, new_admin_token: bool = False) -> None:
    """Serve until a signal says to stop; then what is under way gets 5 s to end.

    note: is told where the server is, and at the first start, or if new_admin_token, a token for an admin: once. Raises
    SettingsError where the address is taken, StateError where the database cannot be opened.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s server %(levelname)s %(message)s")
    for chatty in ("alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    settings.make_folders()
    _have_descriptors()
    with _alone(settings), _listening(settings) as listener:
        supervisor = Supervisor(settings)
        parts = open_services(settings, supervisor.alive)
        try:
            if token := _first_token(parts.database, anew=new_admin_token):
                note(f"admin token, shown this once: {token}")
            webhooks = webhook_sender(parts.database, allow_private=settings.allow_private)
            with _beside(supervisor, housekeeping(parts), webhooks):
                note(f"shopcue listens at {_address(listener)}")
                _Server(create_app(parts), settings).run([listener])
        finally:
            parts.database.close()


class _Part(Protocol):
    """Something that works beside the API."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""


@contextmanager
def _beside(*others: _Part) -> Iterator[None]:
    """Let others work while the block does, and end them in the order in which they began."""
    with ExitStack() as stack:
        for other in reversed(others):
            stack.callback(other.stop)
        for other in others:
            other.start()
        yield


def _have_descriptors() -> None:
    """Let this process hold as many connections as the system allows; often it starts with a thousand."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def _alone(settings: ServerSettings) -> Iterator[None]:
    """Keep other servers off this one's folder; a lock of the system's, which ends with the process."""
    with (settings.data / "server.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SettingsError(f"another server runs on {settings.data}; stop it, or give another --data") from None
        yield


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _first_token(database: Database, *, anew: bool) -> str | None:
    """Return the text of a new admin's token if there is none that is good, or one is asked for."""
    with database.write() as session:
        if not anew and list_tokens(session):
            return None
        return create_token(session, "admin", "admin")[1]


@contextmanager
def _listening(settings: ServerSettings) -> Iterator[socket.socket]:
    """Give a socket at the address of the settings; raises SettingsError where it cannot be had."""
    try:
        place = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(place[4][:2], family=place[0], backlog=_MOST_WAITING)
    except OSError as error:
        raise SettingsError(
            f"cannot listen at {settings.host} port {settings.port}: {error.strerror}; give another --host or --port"
        ) from error
    with listener:
        yield listener


class _Server(uvicorn.Server):
    """Uvicorn, but connections that follow live events are ended before it waits for those that are open."""

    def __init__(self, app: FastAPI, settings: ServerSettings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=True,
                forwarded_allow_ips=settings.proxies,
                timeout_graceful_shutdown=_GRACE_S,
                limit_concurrency=_MOST_CONNECTIONS,
                ws_max_size=1 << 16,
                h11_max_incomplete_event_size=1 << 16,
            )
        )
        self._app = app

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM end the serving, and no more: Uvicorn's own way ends the process on the spot."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the followers, then the rest."""
        self._app.state.hub.close()
        await super().shutdown(sockets)
