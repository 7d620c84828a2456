from __future__ import annotations

import codecs
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopcue.errors import SubtitleError
from shopcue.records import Utterance
from shopcue.sources import subtitles
from shopcue.sources.subtitles import read_subtitles

VTT = """WEBVTT - a title
Kind: captions
Language: en

STYLE
::cue(.loud) { color: red }

REGION
id:fred
width:40%

NOTE made by hand

intro
00:01.000 --> 00:02.500 align:start position:0%
<v Ann Lee>Hello &amp; <c.loud>welcome</c></v>
to the <i>show</i>

NOTE
two lines
of note

00:00:03.000 --> 01:00:04.000
<00:00:03.200>word<00:00:03.700><c> by</c> word &lt;3&nbsp;ok

2
00:00:02.600 --> 00:00:02.900 line:0
early
"""


def write(tmp_path: Path, text: str | bytes, name: str = "speech.vtt") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_vtt_becomes_sorted_plain_text(tmp_path: Path) -> None:
    assert read_subtitles(write(tmp_path, VTT)) == [
        Utterance(1.0, 2.5, "Hello & welcome to the show"),
        Utterance(2.6, 2.9, "early"),
        Utterance(3.0, 3604.0, "word by word <3 ok"),
    ]


SRT = """1
00:00:01,000 --> 00:00:02,000
<font color="#fff">Red</font> {\\an8}skirt
5 < 6 and <3

2
00:00:03,000 --> 00:00:04,250  X1:0 X2:1 Y1:0 Y2:1
second

goes on after a blank line
3
00:00:03,500 --> 00:00:05,000
no blank line before it, and it overlaps


4
00:00:06,000 --> 00:00:07,000
"""


def test_srt_as_it_is_met(tmp_path: Path) -> None:
    assert read_subtitles(write(tmp_path, SRT, "speech.srt")) == [
        Utterance(1.0, 2.0, "Red skirt 5 < 6 and <3"),
        Utterance(3.0, 4.25, "second goes on after a blank line"),
        Utterance(3.5, 5.0, "no blank line before it, and it overlaps"),
    ]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
)
@pytest.mark.parametrize("text", [VTT, SRT, VTT.replace("welcome", "连衣裙")])
def test_encodings_and_line_ends_do_not_matter(
    tmp_path: Path, mark: bytes, encoding: str, line_end: str, text: str
) -> None:
    plain = read_subtitles(write(tmp_path, text, "plain.sub"))
    coded = write(tmp_path, mark + text.replace("\n", line_end).encode(encoding), "coded.sub")
    assert read_subtitles(coded) == plain


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    assert read_subtitles(write(tmp_path, VTT, "a.srt")) == read_subtitles(write(tmp_path, VTT, "a.vtt"))


def test_rolling_captions_are_said_once(tmp_path: Path) -> None:
    """The form in which a video site gives its own recognition: each cue shows the line before again."""
    text = """WEBVTT

00:00:00.000 --> 00:00:02.000 align:start position:0%
 
here<00:00:00.500><c> is</c><00:00:01.000><c> the</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
here is the
 

00:00:02.010 --> 00:00:04.000 align:start position:0%
here is the
red<00:00:02.500><c> dress</c>

00:00:04.000 --> 00:00:04.010 align:start position:0%
red dress
 

00:00:09.000 --> 00:00:10.000
red dress
"""  # noqa: W293
    assert read_subtitles(write(tmp_path, text)) == [
        Utterance(0.0, 2.01, "here is the"),
        Utterance(2.01, 4.01, "red dress"),
        Utterance(9.0, 10.0, "red dress"),
    ]


def test_a_vtt_without_cues_says_nothing(tmp_path: Path) -> None:
    assert read_subtitles(write(tmp_path, "WEBVTT\n")) == []
    assert read_subtitles(write(tmp_path, "WEBVTT")) == []
    assert read_subtitles(write(tmp_path, "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n")) == []


@pytest.mark.parametrize(
    ("name", "text", "line", "word"),
    [
        ("a.vtt", "00:01.000 --> 00:02.000\nx\n", 1, "header"),
        ("a.vtt", "WEBVTTX\n\n00:01.000 --> 00:02.000\nx\n", 1, "header"),
        ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:0a.000\nx\n", 3, "pair of times"),
        ("a.vtt", "WEBVTT\n\n00:61.000 --> 01:02.000\nx\n", 3, "pair of times"),
        ("a.vtt", "WEBVTT\n\n-00:01.000 --> 01:02.000\nx\n", 3, "pair of times"),
        ("a.vtt", "WEBVTT\n\nname\n00:01 --> 00:02\nx\n", 4, "pair of times"),
        ("a.vtt", "WEBVTT\n\n00:03.000 --> 00:02.000\nx\n", 3, "before it starts"),
        ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nx\n\nlost words\n", 6, "no time"),
        ("a.vtt", "WEBVTT\n\n00:01.000 00:02.000\nx\n", 3, "no time"),
        ("a.srt", "1\n00:00:01,000 00:00:02,000\nx\n", 1, "no time"),
        ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\nx\n\n2\n00:00:03,000\ny\n", 5, "no time"),
        ("a.srt", "1\n00:00:01,000 --> 00:00:02,00x\nx\n", 2, "pair of times"),
        ("a.srt", "hello\n", 1, "no time"),
        ("a.srt", "", 1, "empty"),
        ("a.srt", "\n\n", 1, "empty"),
        ("a.vtt", b"WEBVTT\n\n00:01.000 --> 00:02.000\n\xb0\xa1\xb0\xa1\n", 4, "not UTF-8"),
        ("a.vtt", codecs.BOM_UTF16_LE + b"W\0E\0B\0x", 1, "not UTF-16"),
    ],
)
def test_what_is_malformed_is_refused_with_its_line(
    tmp_path: Path, name: str, text: str | bytes, line: int, word: str
) -> None:
    with pytest.raises(SubtitleError, match=rf"line {line}: .*{word}.*expected") as caught:
        read_subtitles(write(tmp_path, text, name))
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SubtitleError, match="does not exist"):
        read_subtitles(tmp_path / "missing.vtt")
    with pytest.raises(SubtitleError, match="folder"):
        read_subtitles(tmp_path)


def test_a_huge_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subtitles, "MAX_MB", 1)
    with pytest.raises(SubtitleError, match="larger than 1 MB"):
        read_subtitles(write(tmp_path, "WEBVTT\n" + "\n" * 1_000_001))


def test_a_long_line_takes_no_long_time(tmp_path: Path) -> None:
    """A line of a million openings, of tags, of entities: each is read in one pass and cut."""
    for part in ("<", "<a ", "&", "{\\", "<1", "&#", "\u202e<b>"):
        path = write(tmp_path, f"WEBVTT\n\n00:01.000 --> 00:02.000\n{part * 300_000}\n")
        (said,) = read_subtitles(path) or [Utterance(0, 0, "")]
        assert len(said.text) <= 5000


times = st.integers(0, 40_000_000).map(lambda ms: ms / 1000)
words = st.text(
    st.characters(codec="utf-8", exclude_characters="<>&{}\\", exclude_categories=["Cc", "Cs", "Z"]), min_size=1
)


def stamp(time_s: float, sign: str) -> str:
    ms = round(time_s * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{sign}{ms % 1000:03}"


@given(st.lists(st.tuples(times, times, words), max_size=8), st.booleans())
def test_what_is_written_is_read_back(cues: list[tuple[float, float, str]], is_vtt: bool) -> None:
    spans = sorted((min(a, b), max(a, b), f"{i}-{word}") for i, (a, b, word) in enumerate(cues))
    sign = "." if is_vtt else ","
    blocks = [f"{i}\n{stamp(a, sign)} --> {stamp(b, sign)}\n{text}" for i, (a, b, text) in enumerate(spans, start=1)]
    head = ["WEBVTT"] if is_vtt else ["0\n00:00:00,000 --> 00:00:00,000\n "]
    with TemporaryDirectory() as folder:
        found = read_subtitles(write(Path(folder), "\n\n".join(head + blocks), "x.vtt" if is_vtt else "x.srt"))
    assert sorted((u.start_s, u.end_s, u.text) for u in found) == spans


def test_another_reader_agrees(tmp_path: Path) -> None:
    webvtt = pytest.importorskip("webvtt", reason="webvtt-py is the reference of this test")
    blocks = [f"{stamp(i * 1.5, '.')} --> {stamp(i * 1.5 + 1, '.')}\n<v Eve>line <b>{i}</b>" for i in range(40)]
    path = write(tmp_path, "\n\n".join(["WEBVTT", *blocks]))
    expected = [Utterance(c.start_in_seconds, c.end_in_seconds, c.text) for c in webvtt.read(str(path))]
    ours = read_subtitles(path)
    assert [u.text for u in ours] == [u.text for u in expected]
    assert [int(u.start_s) for u in ours] == [int(u.start_s) for u in expected]


def test_the_speech_of_a_composed_live(shared: Path) -> None:
    path = shared / "bench" / "live-a" / "speech.vtt"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    said = read_subtitles(path)
    assert len(said) == path.read_text(encoding="utf-8").count("-->")
    assert said[0] == Utterance(1.271, 3.85, "Thank you all for joining tonight.")
