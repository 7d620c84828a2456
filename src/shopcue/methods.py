"""The ways to find focuses, each put together from its parts: what looks where, what compares, and its weights.

one-stage    squares of every frame -> embeddings and clips (SGMN) -> matches
two-stage    detections -> tracklets -> the best view of each -> embeddings and verification -> matches
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from shopcue.catalog.cache import EmbeddingCache
from shopcue.catalog.exact import embed_anew
from shopcue.catalog.pictures import shrink
from shopcue.errors import SettingsError, WeightsError
from shopcue.focusing import probabilities
from shopcue.geometry import squares
from shopcue.looking import ClipLooker, Comparison, Examiner, Looker, Resemblance, TrackletLooker
from shopcue.matching import FEATURES, Calibration
from shopcue.models.calibration import read_calibration
from shopcue.models.clip import HOUSE_CLIPS, OnnxClipEncoder
from shopcue.models.detector import DETECTORS, Detector, WindowDetector
from shopcue.models.image import ENCODERS, ImageEncoder
from shopcue.models.text import LexicalMatcher
from shopcue.pipeline import Session, Update, Words, find_focuses
from shopcue.records import Catalog, Detections, Floats, Focus, Frame, Gallery, Image, Indices, Match
from shopcue.settings import Models, Settings
from shopcue.sources.files import VideoInfo, read_frames
from shopcue.trace import Stretch, Trace

METHODS = ("auto", *FEATURES)
"""The names of the methods; auto is the one that did better when they were calibrated (runs/calibration.py)."""

_NETWORKS = {"image": "the encoder", "detector": "the detector", "clips": "the clip encoder"}


@dataclass(frozen=True, slots=True)
class Method:
    """A method, ready to be used on many shops and streams.

    name: never auto. encoder: by which shops are embedded. calibration: the weights of its features. cohorts: as in
    `TrainedCalibration`. clips: what sees clips, where it looks at them. why: a line that says why `auto` is this one.
    """

    name: str
    detector: Detector
    encoder: ImageEncoder
    calibration: Calibration
    cohorts: Mapping[str, Floats]
    settings: Settings
    clips: OnnxClipEncoder | None = None
    why: str = ""

    @property
    def fingerprints(self) -> dict[str, str]:
        """What names its networks."""
        if self.clips is not None:
            return {"image": self.encoder.fingerprint, "clips": self.clips.fingerprint}
        return {"detector": self.detector.fingerprint, "image": self.encoder.fingerprint}

    def sharing(self, detector: Detector, encoder: ImageEncoder) -> Method:
        """Return the same method with other faces of its networks, such as those that many streams share."""
        return replace(self, detector=detector, encoder=encoder)

    def looker(self, gallery: Gallery, trace: Trace | None = None) -> Looker:
        """Return what compares the frames of one stream with a gallery."""
        matching, tracking = self.settings.matching, self.settings.tracking
        if self.clips is not None:
            # A shop is embedded by the image encoder; what the clip encoder makes of its pictures is cached.
            with closing(EmbeddingCache.default()) as cache:
                seen = embed_anew(gallery, self.clips, cache)
            return ClipLooker(
                Comparison(gallery, self.encoder, self.cohorts["image"], matching.verify),
                Resemblance(seen, self.cohorts["clips"]),
                self.clips,
                verify_every_s=matching.verify_every_s,
                reach_s=matching.clip_reach_s,
                trace=trace,
            )
        return TrackletLooker(
            gallery,
            self.encoder,
            self.cohorts["image"],
            verify=matching.verify,
            stretch_s=tracking.stretch_s,
            verify_every_s=tracking.verify_every_s,
            reach_s=tracking.reach_s,
            most=tracking.most,
            trace=trace,
        )

    def session(self, gallery: Gallery, trace: Trace | None = None) -> Session:
        """Return a session of one stream against a shop, with words and pictures; a trace is told what it does."""
        text = LexicalMatcher(gallery.catalog)
        return Session(gallery.catalog, self.looker(gallery, trace), self.calibration, text, self.settings, trace=trace)

    def examiner(self, gallery: Gallery) -> Examiner:
        """Return what looks for the products of a gallery in single photos."""
        return Examiner(gallery, self.encoder, self.cohorts["image"], verify=self.settings.matching.verify)

    def search(self, examiner: Examiner, photo: Image, k: int) -> list[tuple[str, float]]:
        """Return the k products that a photo most likely shows: (product id, probability), the best first."""
        picture = shrink(photo, self.settings.sampling.max_side_px)
        score = examiner.examine(picture, self.detector.detect([Frame(0.0, picture)])[0])
        return _ranked(score, examiner.catalog, k)

    def search_clip(
        self, gallery: Gallery, clip: VideoInfo, words: Words, k: int, update: Update | None = None
    ) -> list[tuple[str, float]]:
        """Return the k products that a whole clip most likely shows: (product id, probability), the best first.

        What its moments say of each product counts as one: the mean of their log odds.
        """
        verdict = _Verdict(len(gallery.catalog))
        self.find_focuses(clip, gallery, words, update, verdict)
        return _ranked(verdict.score(), gallery.catalog, k)

    def change(self, session: Session, gallery: Gallery, trace: Trace | None = None) -> list[Focus]:
        """Let a running session go on with the shop as it is now, and return the focuses that have ended for good."""
        return session.change(gallery.catalog, self.looker(gallery, trace), LexicalMatcher(gallery.catalog))

    def find_focuses(
        self,
        video: VideoInfo,
        gallery: Gallery,
        words: Words,
        update: Update | None = None,
        trace: Trace | None = None,
    ) -> list[Focus]:
        """Return what a whole video shows of a shop, in order of start; update: called with how far it is."""
        sampling = self.settings.sampling
        frames = read_frames(video.path, sampling.rate_hz, sampling.max_side_px)
        return find_focuses(self.session(gallery, trace), frames, self.detector, words, video.duration_s, update)


def _ranked(score: Floats, catalog: Catalog, k: int) -> list[tuple[str, float]]:
    """Return the k products of the highest log odds: (product id, probability), the best first."""
    chances = probabilities(score)
    return [(catalog.products[p].product_id, float(chances[p])) for p in np.argsort(-score, kind="stable")[:k]]


class _Verdict:
    """The mean of what moments say; a `Trace`, since that is told of each of them."""

    def __init__(self, products: int) -> None:
        self._sum, self._moments = np.zeros(products), 0

    def followed(self, frame: Frame, detections: Detections, ids: Indices, prominent: list[int]) -> None:
        """Take what is of no account here."""

    def picked(self, stretch: Stretch) -> None:
        """Take what is of no account here."""

    def matched(self, match: Match, catalog: Catalog) -> None:
        """Take what a moment says."""
        self._sum += match.score
        self._moments += 1

    def score(self) -> Floats:
        """Return the mean log odds of each product, float32 (P,)."""
        return np.asarray(self._sum / max(1, self._moments), np.float32)


def open_method(name: str, settings: Settings) -> Method:
    """Load what a method needs. Raises SettingsError for an unknown name, WeightsError where weights do not fit."""
    if name not in METHODS:
        raise SettingsError(f"the method is {name!r}, expected one of {', '.join(METHODS)}")
    trained = read_calibration()
    method = uncalibrated(trained.best if name == "auto" else name, settings, trained.cohorts)
    learnt = trained.methods[method.name]
    for what, fingerprint in method.fingerprints.items():
        _fits(what, learnt.networks[what], fingerprint)
    return replace(method, calibration=learnt.calibration, why=trained.why_best if name == "auto" else "")


def uncalibrated(name: str, settings: Settings, cohorts: Mapping[str, Floats]) -> Method:
    """Return a method whose features weigh nothing yet. name: not auto."""
    nothing = Calibration(np.zeros(len(FEATURES[name]), np.float32), 0.0, 0.0)
    encoder = make_encoder(settings.models)
    if name == "two-stage":
        return Method(name, make_detector(settings.models), encoder, nothing, cohorts, settings)
    clips = make_clip_encoder(settings.models)
    return Method(name, WindowDetector(encoder, squares), encoder, nothing, cohorts, settings, clips)


def make_encoder(models: Models) -> ImageEncoder:
    """Return the image encoder of the settings: one of the names in `ENCODERS`, or an ONNX file by its path."""
    threads = models.threads or None
    if models.image in ENCODERS and models.image != "onnx":
        return ENCODERS[models.image](threads=threads)
    if models.image.endswith(".onnx"):
        return ENCODERS["onnx"](Path(models.image), threads)
    names = ", ".join(sorted(set(ENCODERS) - {"onnx"}))
    raise SettingsError(f"models.image is {models.image!r}, expected {names} or the path of an .onnx file")


def make_clip_encoder(models: Models) -> OnnxClipEncoder:
    """Return the clip encoder of the settings: the house one, or what `shopcue export` wrote, by its folder."""
    folder = HOUSE_CLIPS if models.clips == "house" else Path(models.clips)
    return OnnxClipEncoder(folder, models.threads or None)


def make_detector(models: Models) -> Detector:
    """Return the detector of the settings."""
    if models.detector not in DETECTORS:
        raise SettingsError(f"models.detector is {models.detector!r}, expected one of {', '.join(sorted(DETECTORS))}")
    return DETECTORS[models.detector](threads=models.threads or None)


def _fits(what: str, calibrated: str, used: str) -> None:
    if calibrated != used:
        raise WeightsError(
            f"the score was calibrated with {_NETWORKS[what]} {calibrated}, {_NETWORKS[what]} is {used}; "
            f"use the house one, or calibrate with runs/calibration.py"
        )
