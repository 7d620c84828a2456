"""The pages: what they may load, who may frame them, and what search engines read; hostile titles do nothing."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from server.conftest import Connect, Tokens
from server.matched import COAT, FOUND, MUG, SCRIPT, add_matched, add_stream, open_focus
from shopcue.database import Database
from shopcue.database.videos import change_video
from shopcue.server.pages import FILES, json_in_html
from shopcue.server.services import Services


class Page(HTMLParser):
    """What a browser makes of a page: its elements with their attributes, and the texts of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._in_script = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._in_script = self._in_script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)

    def content(self, name: str) -> str | None:
        """What the meta element of a name or property says."""
        found = [
            a.get("content") for tag, a in self.elements if tag == "meta" and name in (a.get("name"), a.get("property"))
        ]
        return found[0] if found else None


def policy(answer: Any) -> dict[str, list[str]]:
    rules = [rule.split() for rule in answer.headers["content-security-policy"].split(";")]
    return {name: sources for name, *sources in rules}


def check_page(text: str) -> Page:
    """Nothing in a page runs or is styled but the files that it names."""
    page = Page(text)
    for tag, attributes in page.elements:
        assert tag != "style"
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
        for name in ("href", "src"):
            assert re.match(r"(https?://|/|$)", attributes.get(name) or ""), (tag, attributes)
    for attributes, code in page.scripts:
        assert attributes.get("type") == "application/ld+json" or not code.strip(), code
        assert attributes.get("src", "/static/").startswith("/static/")  # type: ignore[union-attr]
    return page


@pytest.fixture
def video(parts: Services, database: Database) -> str:
    return add_matched(parts, published=True)


def test_every_page_loads_from_here_alone_and_runs_only_files(client: TestClient, video: str) -> None:
    for path in ["/studio", "/studio/corner", "/studio/corner/videos/x", "/lab/x", "/play/{video}", "/play/no"]:
        answer = client.get(path.format(video=video))
        assert answer.status_code == (404 if path == "/play/no" else 200)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        check_page(answer.text)
        rules = policy(answer)
        frames = ["*"] if path.startswith("/play/") else ["'none'"]
        assert rules == {
            "default-src": ["'none'"],
            "script-src": ["'self'"],
            "style-src": ["'self'"],
            "img-src": ["'self'", "data:", "blob:"],
            "media-src": ["'self'", "blob:"],
            "connect-src": ["'self'"],
            "worker-src": ["'self'", "blob:"],
            "frame-ancestors": frames,
            "base-uri": ["'none'"],
            "form-action": ["'self'"],
        }
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_every_file_that_a_page_names_is_there(client: TestClient, video: str) -> None:
    for path in ("/studio", "/lab/x", f"/play/{video}", "/play/no"):
        for tag, attributes in check_page(client.get(path).text).elements:
            for name in ("href", "src"):
                if (address := attributes.get(name) or "").startswith("/static/"):
                    assert client.get(address).status_code == 200, (path, tag, address)


def test_every_module_imports_what_is_there() -> None:
    for module in FILES.rglob("*.js"):
        if "vendor" in module.parts:
            continue
        for name in re.findall(r'(?:from|import)\s*\(?\s*"(\.[^"]+)"', module.read_text(encoding="utf-8")):
            assert (module.parent / name).resolve().is_file(), f"{module.relative_to(FILES)} imports {name}"


def test_search_engines_read_the_video_and_its_moments(client: TestClient, video: str, parts: Services) -> None:
    folder = parts.settings.video_folder(video)
    folder.mkdir(parents=True)
    for name in ("media.mp4", "poster.jpg"):
        (folder / name).write_bytes(b"x")
    page = check_page(client.get(f"/play/{video}").text)
    ((_, text),) = [each for each in page.scripts if each[0].get("type") == "application/ld+json"]
    told = json.loads(text)
    here = "http://testserver"
    assert (told["@context"], told["@type"], told["name"]) == ("https://schema.org", "VideoObject", f"Show {SCRIPT}")
    assert told["url"] == told["embedUrl"] == f"{here}/play/{video}"
    assert told["contentUrl"] == f"{here}/api/public/videos/{video}/media"
    assert told["thumbnailUrl"] == [f"{here}/api/public/videos/{video}/poster"]
    assert told["duration"] == "PT80.000S"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", told["uploadDate"])
    assert [(c["@type"], c["name"], c["startOffset"], c["endOffset"], c["url"]) for c in told["hasPart"]] == [
        ("Clip", each.title, each.start_s, each.end_s, f"{here}/play/{video}?t={each.start_s:.0f}") for each in FOUND
    ]
    assert page.content("og:title") == f"Show {SCRIPT}"
    assert page.content("og:url") == f"{here}/play/{video}"
    assert page.content("og:image") == f"{here}/api/public/videos/{video}/poster"
    assert client.get(told["contentUrl"]).content == b"x"


def test_what_strangers_write_stays_text(client: TestClient, video: str) -> None:
    text = client.get(f"/play/{video}").text
    page = check_page(text)
    assert "<script>alert" not in text
    assert "javascript:" not in text
    links = [attributes for tag, attributes in page.elements if tag == "a"]
    assert [each["href"] for each in links if each["href"] == COAT.link]
    assert all(each.get("rel") == "nofollow noopener" for each in links)
    assert MUG.title not in text  # only escaped


@given(st.text() | st.sampled_from(["</script>", "<!--<script>", "]]>", "\u2028", "&lt;", "\\u003c/script>"]))
def test_json_in_a_page_is_read_back_the_same_and_holds_no_html(text: str) -> None:
    inside = str(json_in_html({"name": text, text: [text]}))
    assert not set("<>&\u2028\u2029") & set(inside)
    assert json.loads(inside) == {"name": text, text: [text]}


def test_a_stream_is_told_as_a_broadcast_and_its_open_focus_is_no_clip(
    client: TestClient, parts: Services, database: Database
) -> None:
    add_matched(parts)
    stream = add_stream(parts)
    open_focus(parts, stream)
    answer = client.get(f"/play/{stream}")
    ((_, text),) = [each for each in check_page(answer.text).scripts if "json" in str(each[0].get("type"))]
    told = json.loads(text)
    assert told["publication"]["isLiveBroadcast"] is True
    assert "hasPart" not in told
    assert told["contentUrl"] == "https://cdn.example:8443/live/index.m3u8"
    for name in ("media-src", "connect-src"):
        assert policy(answer)[name][:2] == ["'self'", "https://cdn.example:8443"]


def test_studio_and_lab_load_streams_from_where_they_play_for_those_who_see_them(
    connect: Connect, tokens: Tokens, parts: Services, database: Database
) -> None:
    add_matched(parts)
    stream = add_stream(parts, published=False)
    for path in ("/studio", f"/lab/{stream}"):
        for token, sees in ((tokens.viewer, True), (tokens.admin, True), (tokens.stranger, False), ("", False)):
            answer = connect().get(path, headers={"Cookie": f"shopcue_session={token}"} if token else {})
            assert ("https://cdn.example:8443" in policy(answer)["media-src"]) == sees


@pytest.mark.parametrize(
    "hostile", ["https://evil.example; script-src *", "https://x y/", "http://[::1", "//a.example/", "data:,x"]
)
def test_no_address_of_a_stream_gets_into_a_policy_as_more_than_an_origin(
    client: TestClient, parts: Services, database: Database, hostile: str
) -> None:
    add_matched(parts)
    stream = add_stream(parts)
    with database.write() as session:
        change_video(session, stream, playback_url=hostile)
    rules = policy(client.get(f"/play/{stream}"))
    assert rules["script-src"] == ["'self'"]
    assert rules["media-src"] in (["'self'", "blob:"], ["'self'", "https://evil.example", "blob:"])


@pytest.mark.parametrize("published", [True, False])
def test_a_page_that_is_not_public_looks_like_none(
    client: TestClient, parts: Services, database: Database, published: bool
) -> None:
    video = add_matched(parts, published=published)
    answer, nothing = client.get(f"/play/{video}"), client.get("/play/nothere")
    assert answer.status_code == (200 if published else 404)
    assert published or answer.text == nothing.text


def test_files_are_kept_and_asked_for_again(client: TestClient) -> None:
    first = client.get("/static/js/api.js")
    assert first.headers["content-type"].startswith("text/javascript")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/static/js/api.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_no_path_leads_out_of_the_files(client: TestClient) -> None:
    for path in ["../app.py", "%2e%2e/app.py", "..%2fapp.py", "js/..%2f..%2fapp.py", "/etc/passwd", "js"]:
        answer = client.get(f"/static/{path}")
        assert answer.status_code == 404
        assert answer.json()["error"]


def test_other_sites_load_the_player(client: TestClient) -> None:
    module = client.get("/embed/player.js", headers={"Origin": "https://shop.example"})
    assert module.headers["content-type"].startswith("text/javascript")
    (name,) = re.findall(r'"(.+)"', module.text)
    player = client.get(f"/embed/{name}", headers={"Origin": "https://shop.example"})
    assert player.status_code == 200
    assert "shopcue-player" in player.text
    for answer in (module, player):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


def test_the_address_of_the_server_leads_to_the_studio(client: TestClient) -> None:
    answer = client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/studio")


@pytest.mark.parametrize("path", ["/studio", "/lab/nothing", "/play/nothing", "/embed/player.js"])
def test_the_head_of_a_page_is_that_of_the_page(path: str, connect: Connect) -> None:
    client = connect()
    head, page = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (page.status_code, b"")
    assert head.headers["content-security-policy"] == page.headers["content-security-policy"]
