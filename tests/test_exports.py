"""Exports: golden files, and each format read back by a reader that is not ours."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pytest
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from shopcue import exports
from shopcue.errors import OutputError, RecordError, ScoreError
from shopcue.exports import (
    FORMATS,
    FocusDocument,
    check_writable,
    clock,
    read_focuses,
    write_all,
    write_chapters,
    write_csv,
    write_json,
    write_vtt,
)
from shopcue.records import Alternative, Evidence, Focus, Utterance

GOLDEN = Path(__file__).parent / "golden"
HOSTILE = (
    "<script>alert(1)</script> & \"x\" --> 'y'",
    '=HYPERLINK("http://evil.example";"click")',
    "a\nb\r\n\r\n00:00.000 --> 00:09.000\nc",
    "WEBVTT\x00\u2028NOTE",
    "\t=1+1",
    "日本語の商品 🧥",
    "مرحبا",
    "",
)


def focus(
    start_s: float = 5, end_s: float = 19, title: str = "Oat milk", product_id: str = "oat", score: float = 0.93
) -> Focus:
    return Focus(product_id, title, start_s, end_s, score, Evidence(2.5, 0.5, 0, start_s + 1, (1, 2, 30, 40)))


def document(*focuses: Focus, duration_s: float = 200) -> FocusDocument:
    return FocusDocument("live.mp4", duration_s, {}, focuses)


def sample() -> FocusDocument:
    said = (Utterance(6.25, 9.5, "this is the <b>oat</b> milk"), Utterance(10, 11, "+ it is cheap"))
    evidence = Evidence(3.25, 1.125, -0.0, 12.3456, (10.04, 20, 310.06, 400), said)
    return FocusDocument(
        "lives/söndag.mp4",
        3905.1234,
        {"image": "sha256:ab12", "text": "e5:cd34"},
        (
            Focus("soy", "Soy & <Sons>\nmilk", 3700.0004, 3721.5, 0.5, Evidence(1, 0, 0, 3701, (0, 0, 1, 1))),
            Focus("oat", "Oat milk", 4.9774, 19.1266, 0.93125, evidence, (Alternative("soy", 0.04),)),
            Focus("=1+1", "@sum(A1)", 47.25, 64.5, 0.75, Evidence(-0.5, 2, 0.25, 50, (5, 5, 6, 6))),
        ),
    )


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_what_its_golden_file_says(name: str) -> None:
    out = io.StringIO()
    FORMATS[name](sample(), out)
    assert out.getvalue().encode() == (GOLDEN / name).read_bytes()


# ---- the document ----------------------------------------------------------------------------------------------


def test_a_document_puts_its_focuses_in_order_of_start() -> None:
    assert [it.product_id for it in sample().focuses] == ["oat", "=1+1", "soy"]


@pytest.mark.parametrize(
    "evidence", [Evidence(float("nan"), 0, 0, 1, (0, 0, 1, 1)), Evidence(0, 0, 0, 1, (0, 0, 1, np.inf))]
)
def test_a_document_refuses_evidence_that_is_not_finite(evidence: Evidence) -> None:
    with pytest.raises(RecordError, match="expected finite numbers"):
        document(replace(focus(), evidence=evidence))


@pytest.mark.parametrize("duration_s", [float("nan"), float("inf"), -1])
def test_a_document_refuses_a_duration_that_is_none(duration_s: float) -> None:
    with pytest.raises(RecordError, match="duration_s"):
        document(duration_s=duration_s)


# ---- JSON ------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8"), max_size=20)
milliseconds = st.integers(0, 30_000_000).map(lambda ms: round(ms / 1000, 3))
log_odds = st.integers(-(10**8), 10**8).map(lambda n: round(n / 10**6, 6))
pixels = st.integers(-100, 40_000).map(lambda n: round(n / 10, 1))
spans = st.tuples(milliseconds, milliseconds).map(lambda ends: (min(ends), max(ends)))
scores = st.integers(0, 10**6).map(lambda n: round(n / 10**6, 6))
utterances = st.builds(lambda span, text: Utterance(span[0], span[1], text), spans, texts)
evidences = st.builds(
    Evidence,
    log_odds,
    log_odds,
    log_odds,
    milliseconds,
    st.tuples(*[pixels] * 4),
    st.lists(utterances, max_size=3).map(tuple),
)
focuses = st.builds(
    lambda name, title, span, *rest: Focus(name, title, *span, *rest),
    texts,
    texts,
    spans,
    scores,
    evidences,
    st.lists(st.builds(Alternative, texts, scores), max_size=3).map(tuple),
)
documents = st.builds(
    FocusDocument,
    texts,
    milliseconds,
    st.dictionaries(texts, texts, max_size=3),
    st.lists(focuses, max_size=5).map(tuple),
)


@given(documents)
def test_what_was_written_as_json_is_read_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, written: FocusDocument
) -> None:
    path = tmp_path_factory.mktemp("round") / "focuses.json"
    with path.open("w", encoding="utf-8", newline="") as out:
        write_json(written, out)
    assert read_focuses(path) == written


def test_json_takes_the_numbers_of_numpy_and_rounds_times_to_milliseconds() -> None:
    half: Any = np.float32(0.5)
    evidence = Evidence(half, half, -0.0 * half, np.float64(1.23456), (0 * half, 2 * half, 4 * half, 6 * half))
    out = io.StringIO()
    write_json(document(Focus("a", "A", np.float64(1.00049), 4 * half, half, evidence)), out)
    (written,) = json.loads(out.getvalue())["focuses"]
    assert (written["start_s"], written["end_s"], written["evidence"]["frame_s"]) == (1.0, 2.0, 1.235)
    assert written["evidence"]["box"] == [0, 1, 2, 3]
    assert "-0.0" not in out.getvalue()


def golden_json() -> dict[str, object]:
    value = json.loads((GOLDEN / "focuses.json").read_bytes())
    assert isinstance(value, dict)
    return value


def changed(path: str, value: object) -> bytes:
    """Return the golden file with one value replaced (or, for the type `del`, removed)."""
    root: dict[str, object] = golden_json()
    place: object = root
    *way, last = path.split(".")
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]  # type: ignore[index]
    place[int(last) if isinstance(place, list) else last] = value  # type: ignore[index]
    return json.dumps(root).encode()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "Expecting value"),
        (b"[]", "not an object"),
        (b"\xff\xfe\xfa", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b"9" * 10_000, "cannot be read"),
        (b'{"schema": NaN}', "NaN"),
        (changed("schema", "shopcue.focuses/2"), "its schema is 'shopcue.focuses/2'"),
        (changed("video", None), "$.video is None"),
        (changed("video.duration_s", "12"), "$.video.duration_s is '12', not a number"),
        (changed("video.duration_s", 10**400), "cannot be read"),
        (changed("focuses", {}), "$.focuses is {}, not a list"),
        (changed("focuses.1", 7), "$.focuses[1] is 7, not an object"),
        (changed("focuses.0.start_s", True), "$.focuses[0].start_s is True, not a number"),
        (changed("focuses.0.end_s", 0), "ends before it starts"),
        (changed("focuses.0.score", 1.5), "expected a probability"),
        (changed("focuses.0.title", None), "$.focuses[0].title is None, not a text"),
        (changed("focuses.0.evidence.box", [1, 2, 3]), "not four numbers"),
        (changed("focuses.0.evidence.box.3", "x"), "$.focuses[0].evidence.box is 'x'"),
        (changed("focuses.0.evidence.utterances.1.text", 1), "$.focuses[0].evidence.utterances[1].text is 1"),
        (changed("focuses.0.alternatives", None), "$.focuses[0].alternatives is None, not a list"),
    ],
)
def test_a_file_that_holds_no_focuses_is_refused_in_one_line(tmp_path: Path, raw: bytes, says: str) -> None:
    path = tmp_path / "focuses.json"
    path.write_bytes(raw)
    with pytest.raises(ScoreError, match=re.escape(says)) as caught:
        read_focuses(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match="No such file"):
        read_focuses(tmp_path / "none.json")


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MAX_FILE_BYTES", 100)
    with pytest.raises(ScoreError, match="larger than 100 bytes"):
        read_focuses(GOLDEN / "focuses.json")


# ---- WebVTT ----------------------------------------------------------------------------------------------------


def written_vtt(written: FocusDocument) -> str:
    out = io.StringIO()
    write_vtt(written, out)
    return out.getvalue()


def test_a_reader_of_webvtt_finds_every_focus() -> None:
    titles = [f"{n} {title}" for n, title in enumerate(HOSTILE)]
    text = written_vtt(document(*(focus(10.0 * n, 10.0 * n + 9.5, title) for n, title in enumerate(titles))))
    captions = webvtt.from_string(text).captions
    assert [caption.start for caption in captions] == [f"00:{n // 6:02}:{n % 6}0.000" for n in range(len(titles))]
    assert [caption.end for caption in captions] == [f"00:{n // 6:02}:{n % 6}9.500" for n in range(len(titles))]
    for title, caption in zip(titles, captions, strict=True):
        shown = caption.raw_text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        assert re.sub(r"[\s\x00]+", " ", title).strip() == shown


@given(st.lists(st.tuples(spans, st.text(max_size=30)), max_size=5))
def test_no_title_breaks_out_of_its_cue(cues: list[tuple[tuple[float, float], str]]) -> None:
    text = written_vtt(document(*(focus(*span, title) for span, title in cues)))
    header, *blocks = text.split("\n\n")
    assert header.strip() == "WEBVTT"
    assert len(blocks) == len(cues)
    for number, block in enumerate(blocks, start=1):
        name, times, words, *rest = block.rstrip("\n").split("\n")
        assert name == str(number)
        times_s = [
            sum(float(part) * 60**i for i, part in enumerate(reversed(t.split(":")))) for t in times.split(" --> ")
        ]
        assert times_s[0] < times_s[1]
        assert words.strip()
        assert not rest
        assert "-->" not in words
        assert not re.search(r"<|&(?!amp;|lt;|gt;)", words)
        assert len((words + "x").splitlines()) == 1


# ---- chapters --------------------------------------------------------------------------------------------------


def chapters(written: FocusDocument) -> list[str]:
    out = io.StringIO()
    write_chapters(written, out)
    return out.getvalue().splitlines()


@pytest.mark.parametrize(
    ("spans_s", "duration_s", "lines"),
    [
        ([], 60, ["0:00 Intro"]),
        ([(5, 30)], 35, ["0:00 A"]),  # an intro of five seconds is too short for a chapter
        ([(12, 30)], 35, ["0:00 Intro", "0:12 A"]),
        ([(0, 30), (34, 60)], 60, ["0:00 A", "0:34 B"]),  # a short gap belongs to the chapter before
        ([(0, 30), (45, 60)], 100, ["0:00 A", "0:30 —", "0:45 B", "1:00 —"]),
        ([(0, 4), (5, 30)], 60, ["0:00 A + B", "0:30 —"]),
        ([(0, 30), (25, 60)], 60, ["0:00 A", "0:25 B"]),
        ([(0, 30), (55, 60)], 60, ["0:00 A", "0:30 — + B"]),  # none is shorter than ten seconds, the last neither
        ([(0, 3), (15, 30)], 30, ["0:00 A", "0:15 B"]),
        ([(0, 3), (25, 40)], 40, ["0:00 A", "0:10 —", "0:25 B"]),
        ([(0, 3590), (3605, 7300)], 7300, ["0:00 A", "59:50 —", "1:00:05 B"]),
        ([(0, 30), (40.9, 80)], 0, ["0:00 A", "0:30 —", "0:40 B"]),  # the end of the video is not known
    ],
)
def test_chapters_of_small_videos(spans_s: list[tuple[float, float]], duration_s: float, lines: list[str]) -> None:
    found = [focus(start, end, "ABC"[i]) for i, (start, end) in enumerate(spans_s)]
    assert chapters(document(*found, duration_s=duration_s)) == lines


@given(st.lists(st.tuples(spans, texts), max_size=20))
def test_a_platform_takes_the_chapters(marks: list[tuple[tuple[float, float], str]]) -> None:
    end_s = max((span[1] for span, _ in marks), default=0) + 60
    lines = chapters(document(*(focus(*span, title) for span, title in marks), duration_s=end_s))
    starts = []
    for line in lines:
        match = re.fullmatch(r"(?:(\d+):)?(\d{1,2}):(\d\d) ([^<>\n]{1,100})", line)
        assert match, line
        starts.append(int(match[1] or 0) * 3600 + int(match[2]) * 60 + int(match[3]))
    assert starts[0] == 0
    assert all(b - a >= 10 for a, b in zip(starts, [*starts[1:], end_s], strict=True))


@pytest.mark.parametrize(
    ("time_s", "text"),
    [(0, "0:00"), (-1, "0:00"), (7.99, "0:07"), (754, "12:34"), (3600, "1:00:00"), (25201, "7:00:01")],
)
def test_a_time_is_written_as_people_do(time_s: float, text: str) -> None:
    assert clock(time_s) == text


# ---- CSV -------------------------------------------------------------------------------------------------------


@given(st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20)), min_size=1, max_size=5))
def test_no_cell_of_a_stranger_starts_a_formula(titles: list[str]) -> None:
    out = io.StringIO(newline="")
    alternatives = (Alternative("@evil", 0.5),)
    found = [
        Focus(
            "=1", title, 1, 2, 0.5, Evidence(-1, 0, 0, 1, (0, 0, 1, 1), (Utterance(0, 1, f"-{title}"),)), alternatives
        )
        for title in titles
    ]
    write_csv(document(*found), out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue().removeprefix("\ufeff"), newline="")))
    assert len(rows) == len(titles)
    for row in rows:
        for name in ("product_id", "title", "said", "alternatives"):
            assert not re.match(r"\s*[=+\-@\t\r]", row[name])
        assert float(row["visual"]) == -1
        assert float(row["end_s"]) - float(row["start_s"]) == float(row["duration_s"])


# ---- the folder ------------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_is_written_and_only_that(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    paths = write_all(sample(), folder, {"report.html": "<p>ä</p>"})
    assert paths == [folder / name for name in (*FORMATS, "report.html")]
    golden = {name: (GOLDEN / name).read_bytes() for name in FORMATS}
    assert contents(tmp_path / "new") == {f"out/{name}": raw for name, raw in golden.items()} | {
        "out/report.html": "<p>ä</p>".encode()
    }
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_former_run_is_replaced_and_foreign_files_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "focuses.csv").write_text("old")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("not ours")
    (tmp_path / "focuses.vtt").symlink_to(elsewhere)
    write_all(sample(), tmp_path)
    assert elsewhere.read_text() == "not ours"
    assert (tmp_path / "notes.txt").read_text() == "mine"
    for name in FORMATS:
        assert (tmp_path / name).read_bytes() == (GOLDEN / name).read_bytes()


def test_text_that_utf8_cannot_hold_does_not_stop_the_writing(tmp_path: Path) -> None:
    write_all(document(focus(title="bad \ud800 title")), tmp_path)
    assert read_focuses(tmp_path / "focuses.json").focuses[0].title == "bad ? title"


def test_a_failure_leaves_the_folder_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_document: FocusDocument, out: TextIO) -> None:
        out.write("half")
        raise OSError(28, "No space left on device")

    (tmp_path / "focuses.json").write_text("old")
    before = contents(tmp_path)
    monkeypatch.setattr(exports, "FORMATS", {**FORMATS, "last.txt": full})
    with pytest.raises(OutputError, match="No space left on device"):
        write_all(sample(), tmp_path)
    assert contents(tmp_path) == before
    with pytest.raises(OutputError):
        write_all(sample(), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["file.txt", "file.txt/out", "nul\0l", "n" * 300])
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").write_text("a file")
    before = contents(tmp_path)
    for attempt in (lambda: check_writable(tmp_path / name), lambda: write_all(sample(), tmp_path / name)):
        with pytest.raises(OutputError, match="results cannot be written to"):
            attempt()
    assert contents(tmp_path) == before


def test_a_folder_in_the_way_is_found_before_anything_is_moved(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OutputError, match=r"report\.html is a folder"):
        write_all(sample(), tmp_path, {"report.html": ""})
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_asking_whether_a_folder_can_be_written_leaves_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "deep" / "er")
    check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []
