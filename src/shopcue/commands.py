"""Each command of the command line as a function: checks everything that is cheap to check, then works, then writes.

A bad argument costs no time and leaves no trace: nothing is written before all input has been read.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from shopcue import exports, report, stores
from shopcue.catalog.cache import DownloadCache, EmbeddingCache
from shopcue.catalog.exact import build_gallery
from shopcue.catalog.feeds import ItemReport, read_feed
from shopcue.catalog.fetch import HttpFetcher
from shopcue.catalog.pictures import read_picture
from shopcue.errors import SettingsError
from shopcue.evaluation import naive_focuses, read_truth
from shopcue.exports import read_focuses
from shopcue.looking import Examiner
from shopcue.methods import METHODS, Method, make_clip_encoder, make_detector, make_encoder, open_method
from shopcue.metrics.focuses import FocusScores, Span, score_focuses
from shopcue.metrics.focuses import Video as Scored
from shopcue.models.clip import HOUSE_CLIPS
from shopcue.models.hub import find_weights
from shopcue.models.image import ImageEncoder
from shopcue.models.recognition import find_recogniser
from shopcue.pipeline import Update, Words
from shopcue.records import Focus, Frame, Gallery, Utterance
from shopcue.settings import Models, Settings, read_settings
from shopcue.sources import synthetic
from shopcue.sources.clip_frames import VIDEO_SUFFIXES
from shopcue.sources.comments import read_comments
from shopcue.sources.files import VideoInfo, frames_at, probe, read_frames
from shopcue.sources.subtitles import read_subtitles
from shopcue.speech import recognise_video

_REPORT_SIDE_PX = 640
_LONGEST_CLIP_S = 300.0

Note = Callable[[str], None]
"""Takes one line that the user should know."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A feed that has been read and embedded."""

    gallery: Gallery
    report: tuple[ItemReport, ...]


@dataclass(frozen=True, slots=True)
class Matched:
    """What `match` found: the focuses in order of start, and what they were found with."""

    focuses: tuple[Focus, ...]
    video: VideoInfo
    shop: Shop
    models: dict[str, str]
    options: dict[str, object]

    @property
    def document(self) -> exports.FocusDocument:
        """The same as every export writes it."""
        return exports.FocusDocument(self.video.path, self.video.duration_s, self.models, self.focuses)


def match(
    video: str | Path,
    catalog: str | Path,
    out: str | Path | None = None,
    *,
    speech: str = "auto",
    comments: str | Path | None = None,
    method: str = "auto",
    shop: str | None = None,
    config: Settings | str | Path | None = None,
    update: Update | None = None,
    note: Note | None = None,
) -> Matched:
    """Find which product of a feed is on screen in a video, and when; write the results where `out` is given.

    catalog: a feed, or a store if `shop` names one of its shops. speech: auto, none, or the path of a .vtt or .srt
    file. method: auto, one-stage or two-stage. update: called with what is being done and how far it is. note: called
    with lines for the user. Raises a ShopcueError for bad input.
    """
    if method not in METHODS:
        raise SettingsError(f"the method is {method!r}, expected one of {', '.join(METHODS)}")
    note = note or _quiet
    settings = settings_of(config)
    info = probe(video)
    words = Words(_given_speech(speech), read_comments(Path(comments)) if comments is not None else ())
    if out is not None:
        exports.check_writable(out)
    way = open_method(method, settings)
    opened = open_shop(catalog, way.encoder, shop=shop, update=update, note=note)
    if way.why:
        note(way.why)
    models = {**way.fingerprints, "text": "lexical"}
    if speech == "auto":
        titles = [product.title for product in opened.gallery.catalog]
        heard, models["speech"] = recognise_video(info, titles, update=update, note=note)
        words = Words(heard, words.comments)
    focuses = way.find_focuses(info, opened.gallery, words, update)
    options = {"speech": speech, "comments": str(comments or "none"), "method": way.name, **_changed(settings)}
    matched = Matched(tuple(focuses), info, opened, models, options)
    if out is not None:
        write_match(matched, Path(out))
    return matched


def write_match(matched: Matched, out: Path) -> list[Path]:
    """Write every export and report.html into `out`; nothing appears there before all of it is complete."""
    document, gallery = matched.document, matched.shop.gallery
    first = np.unique(gallery.owner, return_index=True)[1] if gallery.pictures else ()
    first_picture = {
        product.product_id: gallery.pictures[i] for product, i in zip(gallery.catalog, first, strict=False)
    }
    page = report.render_report(
        document,
        out,
        products=gallery.catalog.products,
        pictures=first_picture,
        frames=frames_at(matched.video.path, report.frame_times(document), _REPORT_SIDE_PX),
        options=matched.options,
    )
    return exports.write_all(document, out, {"report.html": page})


@dataclass(frozen=True, slots=True)
class Answer:
    """What `search` found for one photo or clip: (product id, probability) of the best products, best first."""

    query: str
    results: tuple[tuple[str, float], ...]


def search(
    queries: Sequence[str | Path],
    catalog: str | Path,
    k: int = 10,
    *,
    shop: str | None = None,
    speech: str = "auto",
    config: Settings | str | Path | None = None,
    update: Update | None = None,
    note: Note | None = None,
) -> Iterator[Answer]:
    """Yield, for each photo or clip, the k products of a feed, or of a shop of a store, that it most likely shows.

    A photo is looked at as a whole, in closer windows and in the box of what the detector is surest of, and the best
    candidates are examined there: print on print, place by place. A clip is a video of up to five minutes that shows
    one product: all of its moments count, by the one-stage method, and what is said in it. speech: auto, none, or the
    .vtt or .srt file of the one clip. Raises a ShopcueError for bad input: for the feed before the first answer, for a
    photo in its turn.
    """
    settings, note = settings_of(config), note or _quiet
    said = _given_speech(speech)
    clips = {str(query): _clip(Path(query)) for query in queries if Path(query).suffix.lower() in VIDEO_SUFFIXES}
    if said and len(clips) != 1:
        raise SettingsError(f"the speech of one clip came with {len(clips)} clips; give them one at a time")
    for query in queries:
        if str(query) not in clips:
            read_picture(Path(query))  # a photo that cannot be read ends it before the long work

    @cache
    def opened(name: str) -> tuple[Method, Gallery]:
        way = open_method(name, settings)
        return way, open_shop(catalog, way.encoder, shop=shop, update=update).gallery

    @cache
    def examiner() -> Examiner:
        way, gallery = opened("two-stage")
        return way.examiner(gallery)

    for query in map(str, queries):
        if query in clips:
            way, gallery = opened("one-stage")
            words = Words(_heard(clips[query], gallery, update, note) if speech == "auto" else said)
            yield Answer(query, tuple(way.search_clip(gallery, clips[query], words, k, update)))
        else:
            results = opened("two-stage")[0].search(examiner(), read_picture(Path(query)).image, k)
            yield Answer(query, tuple(results))


def _clip(path: Path) -> VideoInfo:
    info = probe(path)
    if info.duration_s > _LONGEST_CLIP_S:
        raise SettingsError(
            f"{path} lasts {info.duration_s:.0f} s, expected a clip of one product, up to {_LONGEST_CLIP_S:.0f} s; "
            "use shopcue match for a whole video"
        )
    return info


def _heard(clip: VideoInfo, gallery: Gallery, update: Update | None, note: Note) -> list[Utterance]:
    return recognise_video(clip, [product.title for product in gallery.catalog], update=update, note=note)[0]


def open_shop(
    catalog: str | Path,
    encoder: ImageEncoder,
    *,
    shop: str | None = None,
    update: Update | None = None,
    note: Note | None = None,
) -> Shop:
    """Read a feed and embed its pictures, from the cache where they have been embedded before; or open a shop.

    shop: its name in the store `catalog`; None: that is a feed.
    """
    if shop is not None:
        return Shop(stores.on_air(str(catalog), shop, encoder).gallery, ())
    if stores.is_store(catalog):
        raise SettingsError(f"{catalog} is a catalogue store, expected a feed; name its shop: --shop NAME")
    feed = read_feed(Path(catalog))
    with closing(EmbeddingCache.default()) as vectors, closing(DownloadCache.default()) as downloads:
        gallery, items = build_gallery(
            feed,
            encoder,
            cache=vectors,
            fetcher=HttpFetcher(cache=downloads),
            progress=None if update is None else lambda done, total: update("catalogue", done, total),
        )
        for trouble in filter(None, (vectors.trouble, downloads.trouble)):
            (note or _quiet)(trouble)
    return Shop(gallery, items)


def _quiet(line: str) -> None:
    """Take a line that nobody wants."""


def settings_of(config: Settings | str | Path | None) -> Settings:
    """Return settings as they are, those of a file, or the defaults."""
    if config is None:
        return Settings()
    return config if isinstance(config, Settings) else read_settings(Path(config))


def _changed(settings: Settings) -> dict[str, object]:
    """Return the settings that are not the defaults, as table.key -> value."""
    defaults = asdict(Settings())
    return {
        f"{table}.{key}": value
        for table, keys in asdict(settings).items()
        for key, value in keys.items()
        if value != defaults[table][key]
    }


def _given_speech(speech: str) -> list[Utterance]:
    """Return the utterances of a subtitle file; none for 'auto' and 'none'."""
    return [] if speech in ("auto", "none") else read_subtitles(Path(speech))


# ---- demo, evaluation, benchmark --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drawn:
    """The files of the shop and the show that the package draws: see `sources.synthetic`."""

    feed: Path
    video: Path
    speech: Path
    comments: Path
    truth: Path


def draw_demo(
    folder: Path,
    *,
    duration_s: float,
    seed: int,
    size: tuple[int, int] = (960, 540),
    fps: int = 20,
    update: Update | None = None,
) -> Drawn:
    """Draw a shop of twelve products and a show of duration_s seconds into `folder`."""
    share = None if update is None else lambda done: update("drawing", done, 1.0)
    feed = synthetic.make_shop(folder / "shop", seed=seed)
    stream = synthetic.make_stream(
        folder / "show", feed, duration_s=duration_s, size=size, fps=fps, seed=seed, progress=share
    )
    return Drawn(feed, stream.video, stream.speech, stream.comments, stream.truth)


@dataclass(frozen=True, slots=True)
class Demo:
    """What `demo` did: what was found, how well it fits what was drawn, and where the report is."""

    matched: Matched
    scores: FocusScores
    report: Path


def demo(
    out: str | Path,
    *,
    duration_s: float = 90.0,
    seed: int = 0,
    size: tuple[int, int] = (960, 540),
    fps: int = 20,
    update: Update | None = None,
    note: Note | None = None,
) -> Demo:
    """Draw a shop and a show, match them, and score the answer against what was drawn."""
    folder = Path(out)
    exports.check_writable(folder)
    drawn = draw_demo(folder, duration_s=duration_s, seed=seed, size=size, fps=fps, update=update)
    results = folder / "results"
    matched = match(
        drawn.video, drawn.feed, results, speech=str(drawn.speech), comments=drawn.comments, update=update, note=note
    )
    truth = read_truth(drawn.truth)
    scores = score_focuses([Scored(truth.focuses, matched.focuses, truth.duration_s)])
    return Demo(matched, scores, results / "report.html")


@dataclass(frozen=True, slots=True)
class Contest:
    """One way of finding focuses on one video: its name, its scores, and its speed in seconds of video a second."""

    name: str
    scores: FocusScores
    speed: float


def bench(
    video: str | Path | None = None,
    catalog: str | Path | None = None,
    truth: str | Path | None = None,
    *,
    speech: str = "none",
    config: Settings | str | Path | None = None,
    update: Update | None = None,
) -> list[Contest]:
    """Run the naive way (whole frame, nearest picture, never none) and each method on one video, one after the other.

    All use the same embeddings of the catalogue, made beforehand, and the same frames. Without a video they run on a
    drawn show.
    """
    if video is None:
        with tempfile.TemporaryDirectory(prefix="shopcue-bench-") as folder:
            drawn = draw_demo(Path(folder), duration_s=90.0, seed=1, update=update)
            return bench(drawn.video, drawn.feed, drawn.truth, speech=speech, config=config, update=update)
    if catalog is None or truth is None:
        raise SettingsError("a video came without its feed or its truth; give --catalog and --truth, or no video")
    settings = settings_of(config)
    known, info, given = read_truth(Path(truth)), probe(video), _given_speech(speech)
    methods = [open_method(name, settings) for name in METHODS if name != "auto"]
    encoder = methods[0].encoder
    gallery = open_shop(catalog, encoder, update=update).gallery

    def frames() -> Iterator[Frame]:
        return read_frames(info.path, settings.sampling.rate_hz, settings.sampling.max_side_px)

    def naive() -> Sequence[Span]:
        return naive_focuses(frames(), encoder, gallery, info.duration_s)

    def by(method: Method) -> Callable[[], Sequence[Span]]:
        return lambda: method.find_focuses(info, gallery, Words(given), update)

    contests = []
    ways = [("naive", naive), *((method.name, by(method)) for method in methods)]
    for name, find in ways:
        began_s = time.perf_counter()
        found = find()
        speed = info.duration_s / (time.perf_counter() - began_s)
        contests.append(Contest(name, score_focuses([Scored(known.focuses, found, known.duration_s)]), speed))
    return contests


def evaluate_focuses(pairs: Sequence[tuple[str | Path, str | Path]]) -> FocusScores:
    """Score (truth.json, focuses.json) pairs, all videos together."""
    videos = []
    for truth_path, predicted_path in pairs:
        truth = read_truth(Path(truth_path))
        videos.append(Scored(truth.focuses, read_focuses(predicted_path).focuses, truth.duration_s))
    return score_focuses(videos)


# ---- small faces --------------------------------------------------------------------------------------------------


def check_catalog(feed: str | Path, *, update: Update | None = None) -> tuple[ItemReport, ...]:
    """Read a feed and every picture of it, and return the report, an item each."""
    return open_shop(feed, make_encoder(Models()), update=update).report


@dataclass(frozen=True, slots=True)
class Model:
    """A network that Shopcue uses: its name, what names its exact weights, and where they were found."""

    name: str
    fingerprint: str
    source: str


def list_models() -> list[Model]:
    """Return the networks that `match` would use here."""
    found = find_weights("house-encoder")
    recogniser, line = find_recogniser()
    heard = recogniser.fingerprint if recogniser is not None else "none"
    detector = find_weights("house-detector")
    return [
        Model("detector", make_detector(Models()).fingerprint, str(detector.path)),
        Model("image", make_encoder(Models()).fingerprint, str(found.path)),
        Model("clips", make_clip_encoder(Models()).fingerprint, str(HOUSE_CLIPS)),
        Model("speech", heard, line),
    ]


def summary(matched: Matched) -> list[str]:
    """Return what a person wants to know at once, a line each."""
    shown = {focus.product_id for focus in matched.focuses}
    refused = sum(item.status == "refused" for item in matched.shop.report)
    lines = [
        f"{exports.clock(focus.start_s):>8} - {exports.clock(focus.end_s):<8} {focus.score:4.2f}  "
        f"{exports.one_line(focus.title)}"
        for focus in matched.focuses
    ]
    lines.append(
        f"{len(matched.focuses)} focuses, {len(shown)} of {len(matched.shop.gallery.catalog)} products shown"
        + (f", {refused} items of the feed refused" if refused else "")
    )
    return lines
