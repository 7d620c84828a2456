from __future__ import annotations

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopcue.errors import CommentError
from shopcue.records import Comment
from shopcue.sources import comments
from shopcue.sources.comments import read_comments


def write(tmp_path: Path, text: str | bytes, name: str = "comments") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return path


OURS = [
    {"time_s": 9.5, "user": "ann", "text": "how much\nis it?"},
    {"time_s": 1, "user": "bob", "text": "连衣裙"},
    {"time_s": 1, "user": "eve", "text": " "},
]
CHAT = [
    {"time_in_seconds": -3.2, "message": "too early", "author": {"name": "ann", "images": []}},
    {"time_in_seconds": 12.5, "message": "the red one!", "author": {"name": "bob"}, "emotes": [{"id": "1"}]},
    {"time_in_seconds": 3, "message": None, "author": {"name": "a sticker"}},
    {"time_in_seconds": 4, "message": "hi", "time_text": "0:04"},
]
DANMAKU = """<?xml version="1.0" encoding="UTF-8"?><i><chatserver>chat.bilibili.com</chatserver><chatid>1</chatid>
<d p="23.826,1,25,16777215,1422201084,0,057075e9,757076900">多少钱 &amp; where\x08</d>
<d p="1.5,4,25,16777215,1422201084,0,abc">first</d>
<d p="2,7,25,16777215,1422201084,0,abc,1">[0,0,"1-1",4.5,"placed"]</d>
<d p="3,8,25,16777215,1422201084,0,abc,1">var script;</d>
<d p="4,1"></d>
</i>"""


def test_our_own_lines(tmp_path: Path) -> None:
    text = "\n".join(json.dumps(record) for record in OURS) + "\n\n"
    expected = [Comment(1.0, "bob", "连衣裙"), Comment(9.5, "ann", "how much is it?")]
    assert read_comments(write(tmp_path, text)) == expected
    assert read_comments(write(tmp_path, b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())) == expected
    assert read_comments(write(tmp_path, text.encode("utf-16"), "comments.xml")) == expected


@pytest.mark.parametrize("indent", [None, 4])
def test_a_chat_downloader_file(tmp_path: Path, indent: int | None) -> None:
    expected = [Comment(4.0, "", "hi"), Comment(12.5, "bob", "the red one!")]
    assert read_comments(write(tmp_path, json.dumps(CHAT, indent=indent))) == expected
    assert read_comments(write(tmp_path, "\n".join(map(json.dumps, CHAT)), "chat.jsonl")) == expected


def test_danmaku(tmp_path: Path) -> None:
    expected = [Comment(1.5, "abc", "first"), Comment(23.826, "057075e9", "多少钱 & where")]
    assert read_comments(write(tmp_path, DANMAKU, "comments.json")) == expected


@pytest.mark.parametrize("text", ["", "\n \n", "[]", " [ ]\n", "<i></i>", "\ufeff"])
def test_a_file_without_comments_has_none(tmp_path: Path, text: str) -> None:
    assert read_comments(write(tmp_path, text)) == []


GOOD = '{"time_s": 1, "user": "a", "text": "x"}\n'
ITEM = '{"time_in_seconds": 1, "message": "x"}'


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("hello", 1, "starts with"),
        (GOOD + "hello", 2, "no JSON"),
        (GOOD + "[1]", 2, "no object"),
        (GOOD + "{}", 2, "no object"),
        (GOOD + GOOD.strip() + GOOD, 2, "more than one"),
        (GOOD + "\n" + '{"time_s": -1, "text": "x"}', 3, "0 or more"),
        (GOOD + '{"time_s": NaN, "text": "x"}', 2, "finite"),
        (GOOD + '{"time_s": Infinity, "text": "x"}', 2, "finite"),
        (GOOD + '{"time_s": 1e999, "text": "x"}', 2, "finite"),
        (GOOD + '{"time_s": 1' + "0" * 400 + ', "text": "x"}', 2, "finite"),
        (GOOD + '{"time_s": ' + "9" * 5000 + ', "text": "x"}', 2, "no JSON"),
        (GOOD + '{"time_s": "1", "text": "x"}', 2, "finite"),
        (GOOD + '{"time_s": true, "text": "x"}', 2, "finite"),
        (GOOD + '{"time_s": null, "text": "x"}', 2, "finite"),
        (GOOD + '{"time_s": 1, "text": ["x"]}', 2, "a text"),
        (GOOD + '{"time_s": 1, "user": 5, "text": "x"}', 2, "a text"),
        ("[" * 100_000, 1, "no JSON"),
        (GOOD + '{"a":' * 100_000, 2, "no JSON"),
        ("[", 1, "no JSON"),
        (f"[{ITEM},\n{ITEM}\n", 2, "go on"),
        (f"[{ITEM}\n{ITEM}]", 1, "go on"),
        (f"[{ITEM},\n{ITEM}]\nmore", 2, "follows"),
        (f'[{ITEM},\n\n{{"message": "x"}}]', 3, "no object"),
        (f'[{ITEM},\n{{"time_in_seconds": 2,\n"message": x}}]', 3, "no JSON"),
        (f'[{ITEM},\n{{"time_in_seconds": NaN, "message": "x"}}]', 2, "finite"),
        (f'[{ITEM},\n{{"time_in_seconds": -Infinity, "message": "x"}}]', 2, "finite"),
        ("<html><body>no</body></html>", 1, "root"),
        ("<i>\n<d p='1,1'>x</i>", 2, "no XML"),
        ("<i>\n<d p='1,1'>x</d>", 2, "no XML"),
        ("<i>\n<d>x</d></i>", 2, "p is"),
        ("<i>\n\n<d p='x,1'>x</d></i>", 3, "p is"),
        ("<i>\n<d p='nan,1'>x</d></i>", 2, "0 or more"),
        ("<i>\n<d p='inf,1'>x</d></i>", 2, "0 or more"),
        ("<i>\n<d p='-2,1'>x</d></i>", 2, "0 or more"),
        (b"\xb0\xa1\n", 1, "not UTF-8"),
        (GOOD.encode() + b'{"time_s": 1, "text": "\xb0\xa1"}', 2, "not UTF-8"),
    ],
)
def test_what_is_malformed_is_refused_with_its_line(tmp_path: Path, text: str | bytes, line: int, word: str) -> None:
    with pytest.raises(
        CommentError, match=rf"line {line}: .*{word}.*expected|line {line}: .*expected.*{word}"
    ) as caught:
        read_comments(write(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 800


def test_xml_bombs_and_outside_entities_are_refused(tmp_path: Path) -> None:
    secret = write(tmp_path, "secret", "secret.txt")
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    for head in (
        f'<!DOCTYPE i [<!ENTITY l0 "ha">{laughs}]>',
        f'<!DOCTYPE i [<!ENTITY l9 SYSTEM "{secret.as_uri()}">]>',
        '<!DOCTYPE i SYSTEM "http://127.0.0.1:9/x.dtd">',
    ):
        started = time.monotonic()
        with pytest.raises(CommentError, match="document type"):
            read_comments(write(tmp_path, f'<?xml version="1.0"?>{head}<i><d p="1,1">&l9;</d></i>'))
        assert time.monotonic() - started < 2


def test_deep_xml_is_no_trap(tmp_path: Path) -> None:
    deep = "<a>" * 100_000 + "</a>" * 100_000
    assert read_comments(write(tmp_path, f'<i>{deep}<d p="1,1">x</d></i>')) == [Comment(1.0, "", "x")]


def test_texts_are_cut_and_made_one_clean_line(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"time_s": 1, "user": "u" * 5000, "text": "t" * 1_000_000},
        {"time_s": 2, "user": "a\tb\r\nc", "text": "\u0000\u001b[31mred\u2028 line\ud800"},
    ]
    first, second = read_comments(write(tmp_path, "\n".join(map(json.dumps, records))))
    assert (first.user, first.text) == ("u" * comments.MAX_USER, "t" * comments.MAX_TEXT)
    assert (second.user, second.text) == ("a b c", "[31mred line?")
    xml = f'<i><d p="1,1,1,1,1,1,me">{"t" * 1_000_000}</d></i>'
    assert read_comments(write(tmp_path, xml)) == [Comment(1.0, "me", "t" * comments.MAX_TEXT)]


def test_a_huge_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comments, "MAX_MB", 1)
    with pytest.raises(CommentError, match="larger than 1 MB"):
        read_comments(write(tmp_path, GOOD * 30_000))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommentError, match="does not exist"):
        read_comments(tmp_path / "missing.jsonl")
    with pytest.raises(CommentError, match="folder"):
        read_comments(tmp_path)


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.text(max_size=20), st.text(max_size=40)), max_size=10),
    st.sampled_from(["lines", "list", "chat lines"]),
)
def test_what_json_says_is_read_as_json_reads_it(records: list[tuple[float, str, str]], form: str) -> None:
    """Whatever text strangers write, the three JSON forms give the same comments, in order of time."""
    if form == "lines":
        text = "\n".join(json.dumps({"time_s": t, "user": u, "text": m}) for t, u, m in records)
    else:
        chat = [{"time_in_seconds": t, "author": {"name": u}, "message": m} for t, u, m in records]
        text = json.dumps(chat, indent=1) if form == "list" else "\n".join(map(json.dumps, chat))
    with TemporaryDirectory() as folder:
        found = read_comments(write(Path(folder), text))
    assert [c.time_s for c in found] == sorted(c.time_s for c in found)

    def visible(text: str) -> list[str]:
        """The characters of a text that neither part words nor steer a terminal."""
        return [c for c in text if not c.isspace() and not (ord(c) < 32 or 127 <= ord(c) < 160)]

    kept = [(t, visible(m)) for t, _, m in sorted(records, key=lambda r: r[0]) if visible(m)]
    assert [(c.time_s, visible(c.text)) for c in found] == kept


def test_the_comments_of_a_composed_live(shared: Path) -> None:
    path = shared / "bench" / "live-a" / "comments.jsonl"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert read_comments(path) == [Comment(r["time_s"], r["user"], r["text"]) for r in records]
