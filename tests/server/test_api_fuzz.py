"""The whole API under attack by its own description: no fault of ours, and every answer as it was described.

SHOPCUE_FUZZ says how many requests each operation gets; half of them are about things that exist.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest

pytest.importorskip("schemathesis", reason="needs the extra `dev`")

import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from requests import ReadTimeout
from schemathesis import checks
from schemathesis.python import asgi
from schemathesis.specs.openapi import checks as described

from server.catalogue import stock
from server.conftest import OTHER, SHOP
from shopcue.database import focuses, jobs, tokens, uploads, videos, webhooks
from shopcue.database.shops import delete_shop, list_shops, put_shop
from shopcue.errors import Missing
from shopcue.records import Evidence, Focus, Product
from shopcue.server.api import ROUTERS
from shopcue.server.app import create_app
from shopcue.server.services import Services, open_services
from shopcue.server.settings import ServerSettings

EXAMPLES = int(os.environ.get("SHOPCUE_FUZZ", "25"))
PATIENCE_S = (0.1, 2.0, 60.0)  # the first for events, which would never end
CHECKS = [
    checks.not_a_server_error,
    described.status_code_conformance,
    described.content_type_conformance,
    described.response_schema_conformance,
    described.response_headers_conformance,
    described.negative_data_rejection,
    described.unsupported_method,
]
"""All but those that take a refusal of well-formed nonsense for a fault."""


class Server:
    """A server with one thing of each kind, and an admin's token for it."""

    def __init__(self, parts: Services) -> None:
        self.parts = parts
        with parts.database.write() as session:
            self.token = tokens.create_token(session, "Ada", "admin")[1]
        self.app = create_app(parts)
        self.things: dict[str, str] = {}
        self.renew()

    def renew(self) -> None:
        """Make what a former request deleted."""
        if self.things and self._whole():
            return
        with self.parts.database.write() as session:
            if SHOP in [row.shop for row in list_shops(session)]:
                delete_shop(session, SHOP)
            for shop in (SHOP, OTHER):
                put_shop(session, shop, shop)
            video = videos.add_video(session, SHOP, "recording", "Show", "show.mp4")
            videos.change_video(session, video.video_id, published=True, duration_s=60.0)
            [row] = focuses.put_focuses(
                session, video, [Focus("p1", "One", 1, 2, 0.5, Evidence(1, 0, 0, 1, (0, 0, 1, 1)))]
            )
            self.things = {
                "shop": SHOP,
                "video_id": video.video_id,
                "focus_id": row.focus_id,
                "job_id": jobs.add_job(session, "reindex", SHOP, {}).job_id,
                "upload_id": uploads.add_upload(session, SHOP, "video", "x.mp4", 1 << 40).upload_id,
                "token_id": tokens.create_token(session, "Kim", "viewer", [SHOP])[0].token_id,
                "webhook_id": webhooks.add_webhook(session, SHOP, "https://x.example/", ["job.update"]).webhook_id,
                "product_id": "p1",
                "position": "0",
                "name": "00000000.ts",
            }
        self._record(video.video_id)
        stock(self.parts, SHOP, [Product("p1", "One", ("a.jpg",))])

    def _record(self, video_id: str) -> None:
        """Put a recording beside the video, so that its routes have something to give."""
        folder = self.parts.settings.recording_folder(video_id)
        folder.mkdir(parents=True)
        origin = "2026-01-01T00:00:00+00:00"
        head = ["#EXTM3U", f"# origin {origin}", f"#EXT-X-PROGRAM-DATE-TIME:{origin}", "#EXTINF:2.0,"]
        (folder / "live.m3u8").write_text("\n".join([*head, self.things["name"], ""]))
        (folder / self.things["name"]).write_bytes(bytes(188))

    def _whole(self) -> bool:
        """Tell whether everything is still there and as it was."""
        things = self.things
        try:
            with self.parts.database.read() as session:
                focuses.get_focus(session, things["focus_id"])
                jobs.get_job(session, things["job_id"])
                webhooks.get_webhook(session, things["webhook_id"])
                good = uploads.get_upload(session, things["upload_id"]).state == "open"
                [token] = [each for each in tokens.list_tokens(session) if each.token_id == things["token_id"]]
        except Missing:
            return False
        return good and token.revoked_at is None and self.parts.store.get(SHOP, "p1") is not None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    parts = open_services(ServerSettings(tmp_path_factory.mktemp("fuzz") / "data", workers=0))
    yield Server(parts)
    asgi.shutdown_lifespans()
    parts.database.close()


def operations() -> list[Any]:
    """Every operation that the API describes; it describes itself without a server."""
    app = FastAPI()
    for router in ROUTERS:
        app.include_router(router)
    description = schemathesis.openapi.from_dict(app.openapi())
    return [cast(Any, found).ok() for found in description.get_all_operations()]


def attacks(operation: Any, things: dict[str, str]) -> SearchStrategy[Any]:
    """Requests that fit the description and requests that do not, half of them about things that exist."""
    existing = {name: things[name] for name in things if f"{{{name}}}" in operation.path}
    good, bad = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
    ways = [operation.as_strategy(good), operation.as_strategy(good, path_parameters=existing)]
    if operation.query or operation.body or operation.headers:
        ways += [operation.as_strategy(bad), operation.as_strategy(bad, path_parameters=existing)]
    return st.one_of(ways)


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.label)
def test_the_api_is_as_described(operation: Any, server: Server) -> None:
    server.renew()
    first = dict(server.things)
    follows = operation.path.endswith("/events")
    wanted = [check for check in CHECKS if not (follows and check is described.response_schema_conformance)]

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(case=attacks(operation, first))
    def attack(case: Any) -> None:
        if case.method != "GET":
            server.renew()
        for name, value in case.path_parameters.items():
            if first.get(name) == value:
                case.path_parameters[name] = server.things[name]
        case.validate_response(send(case, server, PATIENCE_S if follows else PATIENCE_S[-1:]), checks=wanted)

    attack()


def send(case: Any, server: Server, patience_s: Sequence[float]) -> Any:
    """Send a request, and wait longer for its answer to begin if it did not; an answer that goes on is cut off."""
    headers = {"Authorization": f"Bearer {server.token}"}
    with asgi.get_client(cast(Any, server.app)) as client:
        for each_s in patience_s:
            try:
                return case.call(base_url="http://testserver", session=client, headers=headers, timeout=each_s)
            except ReadTimeout:
                continue
    raise AssertionError(f"no answer within {patience_s[-1]} s")
