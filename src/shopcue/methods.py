"""The ways to find focuses, each put together from its parts: what looks where, what compares, and its weights.

one-stage    windows of every frame -> embeddings -> matches
two-stage    detections -> tracklets -> the best view of each -> embeddings and verification -> matches
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from shopcue.catalog.pictures import shrink
from shopcue.errors import SettingsError, WeightsError
from shopcue.focusing import probabilities
from shopcue.looking import Examiner, Looker, TrackletLooker, WindowLooker
from shopcue.matching import FEATURES, Calibration
from shopcue.models.calibration import TrainedMethod, best_of, read_calibration
from shopcue.models.detector import DETECTORS, Detector, WindowDetector
from shopcue.models.image import ENCODERS, ImageEncoder
from shopcue.models.text import LexicalMatcher
from shopcue.pipeline import Session, Update, Words, find_focuses
from shopcue.records import Focus, Frame, Gallery, Image
from shopcue.settings import Models, Settings
from shopcue.sources.files import VideoInfo, read_frames
from shopcue.trace import Trace

METHODS = ("auto", *FEATURES)
"""The names of the methods; auto is the one that did better when they were calibrated (runs/calibration.py)."""

_NETWORKS = {"image": "the encoder", "detector": "the detector"}


@dataclass(frozen=True, slots=True)
class Method:
    """A method, ready to be used on many shops and streams. name: never auto."""

    name: str
    detector: Detector
    encoder: ImageEncoder
    trained: TrainedMethod
    settings: Settings

    @property
    def calibration(self) -> Calibration:
        """The weights of its features."""
        return self.trained.calibration

    @property
    def fingerprints(self) -> dict[str, str]:
        """What names its networks."""
        names = {"image": self.encoder.fingerprint}
        return names if self.name == "one-stage" else {"detector": self.detector.fingerprint, **names}

    def sharing(self, detector: Detector, encoder: ImageEncoder) -> Method:
        """Return the same method with other faces of its networks, such as those that many streams share."""
        return replace(self, detector=detector, encoder=encoder)

    def looker(self, gallery: Gallery, trace: Trace | None = None) -> Looker:
        """Return what compares the frames of one stream with a gallery."""
        matching, tracking = self.settings.matching, self.settings.tracking
        if self.name == "one-stage":
            return WindowLooker(
                gallery,
                self.encoder,
                self.trained.cohort,
                verify=matching.verify,
                verify_every_s=matching.verify_every_s,
                trace=trace,
            )
        return TrackletLooker(
            gallery,
            self.encoder,
            self.trained.cohort,
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
        return Examiner(gallery, self.encoder, self.trained.cohort, verify=self.settings.matching.verify)

    def search(self, examiner: Examiner, photo: Image, k: int) -> list[tuple[str, float]]:
        """Return the k products that a photo most likely shows: (product id, probability), the best first."""
        picture = shrink(photo, self.settings.sampling.max_side_px)
        score = examiner.examine(picture, self.detector.detect([Frame(0.0, picture)])[0])
        chances, products = probabilities(score), examiner.catalog.products
        return [(products[p].product_id, float(chances[p])) for p in np.argsort(-score, kind="stable")[:k]]

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


def open_method(name: str, settings: Settings) -> Method:
    """Load what a method needs. Raises SettingsError for an unknown name, WeightsError where weights do not fit."""
    if name not in METHODS:
        raise SettingsError(f"the method is {name!r}, expected one of {', '.join(METHODS)}")
    calibrated = read_calibration()
    name = best_of(calibrated) if name == "auto" else name
    encoder = make_encoder(settings.models)
    detector = WindowDetector(encoder) if name == "one-stage" else make_detector(settings.models)
    method = Method(name, detector, encoder, calibrated[name], settings)
    for what, fingerprint in method.fingerprints.items():
        _fits(what, calibrated[name].networks[what], fingerprint)
    return method


def make_encoder(models: Models) -> ImageEncoder:
    """Return the image encoder of the settings: one of the names in `ENCODERS`, or an ONNX file by its path."""
    threads = models.threads or None
    if models.image in ENCODERS and models.image != "onnx":
        return ENCODERS[models.image](threads=threads)
    if models.image.endswith(".onnx"):
        return ENCODERS["onnx"](Path(models.image), threads)
    names = ", ".join(sorted(set(ENCODERS) - {"onnx"}))
    raise SettingsError(f"models.image is {models.image!r}, expected {names} or the path of an .onnx file")


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
