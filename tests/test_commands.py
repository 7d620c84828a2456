"""The commands as functions, on a small drawn show: what they write, and what they promise."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from pathlib import Path

import av
import pytest

import shopcue
from shopcue import commands
from shopcue.catalog.feeds import read_feed
from shopcue.errors import MediaError, OutputError, ScoreError, SettingsError, WeightsError
from shopcue.evaluation import read_truth
from shopcue.models.calibration import read_calibration
from shopcue.settings import Matching, Models, Settings

FILES = {"focuses.json", "focuses.vtt", "chapters.txt", "focuses.csv", "report.html"}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> commands.Drawn:
    return commands.draw_demo(tmp_path_factory.mktemp("drawn"), duration_s=16.0, seed=2, size=(320, 180), fps=8)


def test_match_writes_every_file_and_returns_what_it_wrote(drawn: commands.Drawn, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said: list[str] = []
    focuses = shopcue.match(
        drawn.video, drawn.feed, out, speech=str(drawn.speech), comments=drawn.comments, note=said.append
    )
    assert {path.name for path in out.iterdir()} == FILES
    written = json.loads((out / "focuses.json").read_text(encoding="utf-8"))
    assert written["schema"] == "shopcue.focuses/1"
    assert [(f["product_id"], f["start_s"], f["end_s"]) for f in written["focuses"]] == [
        (f.product_id, round(f.start_s, 3), round(f.end_s, 3)) for f in focuses
    ]
    assert set(written["models"]) == {"detector", "image", "text"}
    assert focuses, "a drawn show of 16 s shows a product"
    assert said == [read_calibration().why_best]
    assert re.fullmatch(
        r"method: two-stage \(f1_50 [01]\.\d\d on lives of products that no net had seen, one-stage [01]\.\d\d\)",
        said[0],
    )


def test_nothing_is_written_without_out_or_when_it_cannot_be(drawn: commands.Drawn, tmp_path: Path) -> None:
    shopcue.match(drawn.video, drawn.feed, speech="none")
    blocked = tmp_path / "file"
    blocked.write_text("mine")
    with pytest.raises(OutputError):
        shopcue.match(drawn.video, drawn.feed, blocked / "out", speech="none")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_speech_without_sound_and_progress(drawn: commands.Drawn, tmp_path: Path) -> None:
    silent = tmp_path / "silent.mp4"
    with av.open(str(drawn.video)) as source, av.open(str(silent), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    notes: list[str] = []
    steps: list[tuple[str, float, float]] = []
    commands.match(silent, drawn.feed, note=notes.append, update=lambda *step: steps.append(step))
    assert notes[-1] == "speech: none (the video has no sound)"
    assert {what for what, _, _ in steps} == {"catalogue", "video"}
    assert all(done <= total + 0.5 for _, done, total in steps)


def test_the_demo_scores_itself(tmp_path: Path) -> None:
    done = commands.demo(tmp_path / "demo", duration_s=12.0, seed=4, size=(320, 180), fps=8)
    assert done.report.exists()
    assert done.scores.truth >= 1
    assert done.scores.frame_acc > 0.5
    assert commands.summary(done.matched)[-1].endswith("of 12 products shown")


def test_bench_runs_all_ways_on_the_same_video(drawn: commands.Drawn) -> None:
    naive, *ours = commands.bench(drawn.video, drawn.feed, drawn.truth)
    assert [contest.name for contest in (naive, *ours)] == ["naive", "one-stage", "two-stage"]
    for contest in ours:
        assert contest.scores.frame_acc > naive.scores.frame_acc
        assert min(naive.speed, contest.speed) > 0
    with pytest.raises(SettingsError, match="--truth"):
        commands.bench(drawn.video)


def test_settings_reach_the_parts(drawn: commands.Drawn, tmp_path: Path) -> None:
    never = Settings(matching=Matching(verify=0))
    matched = commands.match(drawn.video, drawn.feed, speech="none", config=never)
    assert matched.options["matching.verify"] == 0
    with pytest.raises(SettingsError, match=r"models\.image is 'hous'"):
        commands.match(drawn.video, drawn.feed, speech="none", config=Settings(models=Models(image="hous")))
    with pytest.raises(WeightsError, match=r"absent\.onnx"):
        commands.match(
            drawn.video, drawn.feed, speech="none", config=Settings(models=Models(image=str(tmp_path / "absent.onnx")))
        )


def test_a_clip_is_searched_for_as_a_whole(drawn: commands.Drawn, tmp_path: Path) -> None:
    truth = read_truth(drawn.truth).focuses[0]
    clip = tmp_path / "clip.mp4"
    cut(drawn.video, clip, truth.start_s + 0.5, truth.end_s - 0.5)
    photo = next((drawn.feed.parent / "images").iterdir())
    answers = list(commands.search([clip, photo], drawn.feed, k=3, speech="none"))
    assert [answer.query for answer in answers] == [str(clip), str(photo)]
    assert answers[0].results[0][0] == truth.product_id
    assert all(len(answer.results) == 3 for answer in answers)
    assert all(first[1] >= second[1] for answer in answers for first, second in itertools.pairwise(answer.results))


def test_what_is_said_in_a_clip_counts(drawn: commands.Drawn, tmp_path: Path) -> None:
    truth = read_truth(drawn.truth).focuses[0]
    clip = tmp_path / "clip.mp4"
    cut(drawn.video, clip, truth.start_s + 0.5, truth.end_s - 0.5)
    other = next(each for each in read_feed(drawn.feed).products if each.product_id != truth.product_id)
    said = tmp_path / "said.vtt"
    said.write_text(f"WEBVTT\n\n00:00.000 --> 00:04.000\nnow the {other.title}\n")

    def chance(speech: str) -> float:
        (answer,) = commands.search([clip], drawn.feed, k=100, speech=speech)
        return dict(answer.results)[other.product_id]

    assert chance(str(said)) > chance("none")


def test_a_clip_that_cannot_be_searched_for(drawn: commands.Drawn, tmp_path: Path) -> None:
    other = Path(shutil.copy(drawn.video, tmp_path / "other.mp4"))
    subtitles = tmp_path / "said.vtt"
    subtitles.write_text("WEBVTT\n\n00:00.000 --> 00:04.000\nhello\n")
    with pytest.raises(SettingsError, match="the speech of one clip came with 2 clips"):
        next(commands.search([drawn.video, other], drawn.feed, speech=str(subtitles)))
    with pytest.raises(MediaError, match=r"absent\.mp4"):
        next(commands.search([tmp_path / "absent.mp4"], drawn.feed))


def cut(video: Path, out: Path, start_s: float, end_s: float) -> None:
    """Write the part of a video as one of its own."""
    with av.open(str(video)) as source, av.open(str(out), "w") as target:
        stream = target.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = (
            source.streams.video[0].width,
            source.streams.video[0].height,
            "yuv420p",
        )
        for frame in source.decode(video=0):
            if start_s <= frame.time < end_s:
                target.mux(stream.encode(av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")))
        target.mux(stream.encode(None))


def test_models_are_listed_with_their_fingerprints() -> None:
    *vision, speech = commands.list_models()
    assert [model.name for model in vision] == ["detector", "image", "clips"]
    assert all(Path(model.source).exists() for model in vision)
    assert len({model.fingerprint for model in vision}) == 3
    assert speech.name == "speech"


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"duration_s": 0, "focuses": []}',
        '{"duration_s": 9, "focuses": [{"product_id": "a", "start_s": 5, "end_s": 1}]}',
        '{"duration_s": 9, "focuses": [{"product_id": "a"}]}',
    ],
)
def test_a_truth_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    path = tmp_path / "truth.json"
    path.write_text(text)
    with pytest.raises(ScoreError, match=r"truth\.json"):
        read_truth(path)
