"""DPRNet's detector: Faster R-CNN with three branches that score how well a box shows its thing, and one that tells
things apart (section 3.1, figure 3).

With truths it returns losses, without them its answers. It knows nothing about files, data sets or optimizers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from shopcue.nets.dprnet.backbones import BODIES, STRIDE, Body
from shopcue.nets.dprnet.boxes import clip, decode, encode, is_thin
from shopcue.nets.dprnet.heads import BoxHead, Branches
from shopcue.nets.dprnet.losses import box_loss, label_loss
from shopcue.nets.dprnet.matching import match, sample, spare
from shopcue.nets.dprnet.operators import Operators, TorchOperators
from shopcue.nets.dprnet.rpn import ProposalSettings, RegionProposals
from shopcue.nets.house_detector import LEVELS, Truth
from shopcue.records import COARSE_CLASSES, QUALITIES


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """What makes a detector.

    backbone: a name of `BODIES`. classes: how many, background left out. instances: things of the training set.
    width: filters of the scoring branches, and the hidden layer of the instance branch. dim: length of an embedding.
    thing_from: overlap from which a proposal is a thing. samples: proposals of a picture that are trained on.
    score_from, suppress_above, considered, kept: which answers are given.
    """

    backbone: str = "resnet50"
    classes: int = len(COARSE_CLASSES)
    instances: int = 1
    width: int = 1024
    dim: int = 1024
    proposals: ProposalSettings = field(default_factory=ProposalSettings)
    proposal_width: int = 512
    thing_from: float = 0.5
    samples: int = 128
    positive_share: float = 0.25
    beta: float = 1.0
    score_from: float = 0.05
    suppress_above: float = 0.5
    considered: int = 1000
    kept: int = 100


@dataclass(frozen=True, slots=True)
class Answers:
    """What the detector says of N pictures, each with K places, best first; an empty place holds zeros.

    boxes: (N, K, 4) xyxy pixels. scores: (N, K) in [0, 1]. classes: int64 (N, K). quality: (N, K, 3) in [0, 1], 1 the
    best. vectors: (N, K, dim), unit.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    quality: Tensor
    vectors: Tensor


class DprnetDetector(nn.Module):
    """uint8 RGB (N, H, W, 3), H and W multiples of 32 -> `Answers`, or with truths the eight terms of equation 3."""

    box_scale: Tensor

    def __init__(self, settings: DetectorSettings, body: Body | None = None) -> None:
        super().__init__()
        self.settings = settings
        self.body = BODIES[settings.backbone]() if body is None else body
        channels = self.body.map_channels
        self.proposals = RegionProposals(channels, settings.proposal_width, STRIDE, settings.proposals)
        self.head = BoxHead(self.body.box_channels, settings.classes)
        self.branches = Branches(channels, settings.width, LEVELS, settings.dim, settings.instances)
        # The deltas of the second stage spread by about .1 and .2 (Girshick's reference code).
        self.register_buffer("box_scale", torch.tensor([10.0, 10.0, 5.0, 5.0]), persistent=False)

    def forward(
        self, pixels: Tensor, truths: Sequence[Truth] | None = None, seeds: Sequence[int] = ()
    ) -> dict[str, Tensor] | Answers:
        """Return the terms of the loss, or answers where there are no truths: what DistributedDataParallel wraps.

        seeds: one for each picture, from which its anchors and proposals are sampled: a picture is trained on in the
        same way whatever stands beside it in the batch.
        """
        return self.answer(pixels) if truths is None else self.losses(pixels, truths, seeds)

    # ---- training ------------------------------------------------------------------------------------------------

    def losses(self, pixels: Tensor, truths: Sequence[Truth], seeds: Sequence[int]) -> dict[str, Tensor]:
        """Return the eight terms of equation 3, each a mean over the pictures."""
        features = self.body(pixels)
        logits, deltas, anchors = self.proposals(features)
        with torch.no_grad():
            boxes, scores = self.proposals.propose(logits, deltas, anchors, _shape(pixels), TorchOperators())
        terms: list[dict[str, Tensor]] = []
        for index, (truth, seed) in enumerate(zip(truths, seeds, strict=True)):
            generator = torch.Generator().manual_seed(seed)
            first = self.proposals.losses(logits[index], deltas[index], anchors, truth, generator)
            proposed = torch.cat([boxes[index, scores[index].isfinite()], truth.boxes])
            terms.append(first | self._box_losses(features[index : index + 1], proposed, truth, generator))
        return {name: torch.stack([each[name] for each in terms]).mean() for name in terms[0]}

    def _box_losses(
        self, features: Tensor, proposed: Tensor, truth: Truth, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return the second stage's terms of ONE picture. features: (1, C, H, W); proposed: (P, 4)."""
        settings = self.settings
        matched = match(proposed, truth.boxes, settings.thing_from, settings.thing_from, best_too=False)
        matched = spare(matched, proposed, truth.ignored)
        things, background = sample(matched, settings.samples, settings.positive_share, generator)
        chosen = torch.cat([things, background])
        rois = self._sample(features, proposed[chosen], torch.zeros_like(chosen), TorchOperators())
        logits, deltas = self.head(self.body.tail(rois))
        owner = matched[things]
        labels = torch.full_like(chosen, settings.classes)
        labels[: len(things)] = truth.classes[owner]
        wanted = encode(truth.boxes[owner], proposed[things], self.box_scale)
        own_deltas = deltas[torch.arange(len(things), device=deltas.device), truth.classes[owner]]
        # What a box without a thing shows, and how well, nobody knows: the branches are trained on things alone.
        said = self.branches(rois[: len(things)])
        terms = {
            "rcnn_class": label_loss(logits, labels),
            "rcnn_box": box_loss(own_deltas, wanted, len(chosen), settings.beta),
            "instance": label_loss(self.branches.instance(said.vectors), truth.instances[owner]),
        }
        for column, name in enumerate(QUALITIES):
            terms[name] = label_loss(said.quality[column], truth.quality[owner, column])
        return terms

    # ---- answers -------------------------------------------------------------------------------------------------

    def answer(self, pixels: Tensor, operators: Operators | None = None) -> Answers:
        """Return what is in the pictures. operators: PyTorch's own where None."""
        operators = operators or TorchOperators()
        features = self.body(pixels)
        logits, deltas, anchors = self.proposals(features)
        proposed, objectness = self.proposals.propose(logits, deltas, anchors, _shape(pixels), operators)
        count, places = objectness.shape
        pictures = torch.arange(count, device=pixels.device)[:, None].expand(-1, places).reshape(-1)
        rois = self._sample(features, proposed.reshape(-1, 4), pictures, operators)
        logits, deltas = self.head(self.body.tail(rois))
        boxes = clip(decode(deltas, proposed.reshape(-1, 1, 4), self.box_scale), *_shape(pixels))
        scores = logits.softmax(dim=1)[:, :-1].masked_fill(is_thin(boxes), 0)
        scores = scores.masked_fill(objectness.reshape(-1, 1) == float("-inf"), 0)
        boxes, scores, chosen = self._choose(boxes.view(count, -1, 4), scores.view(count, -1), operators)
        owner = chosen // self.settings.classes + places * torch.arange(count, device=pixels.device)[:, None]
        quality, vectors = self.branches.scores(self.branches(rois[owner.reshape(-1)]))
        shape, there = (count, chosen.shape[1], -1), scores > 0
        return Answers(
            boxes * there[..., None],
            scores,
            chosen % self.settings.classes * there,
            quality.view(shape) * there[..., None],
            vectors.view(shape) * there[..., None],
        )

    def _choose(self, boxes: Tensor, scores: Tensor, operators: Operators) -> tuple[Tensor, Tensor, Tensor]:
        """Return the boxes that are answered, (N, K, 4), their scores, (N, K), and which they were, int64 (N, K).

        boxes: (N, P * C, 4), scores: (N, P * C): of each proposal and class, one after the other.
        """
        settings = self.settings
        scores = scores.masked_fill(scores < settings.score_from, float("-inf"))
        scores, which = scores.topk(min(settings.considered, scores.shape[1]), dim=1)
        classes = which % settings.classes
        boxes = boxes.gather(1, which[..., None].expand(-1, -1, 4))
        stays = operators.stays(boxes, scores, classes, settings.classes, settings.suppress_above)
        scores = scores.masked_fill(~stays, float("-inf"))
        scores, kept = scores.topk(min(settings.kept, scores.shape[1]), dim=1)
        return boxes.gather(1, kept[..., None].expand(-1, -1, 4)), scores.clamp(min=0), which.gather(1, kept)

    def _sample(self, features: Tensor, boxes: Tensor, pictures: Tensor, operators: Operators) -> Tensor:
        return operators.roi_align(features, boxes, pictures, self.body.roi_side, 1 / STRIDE)


def _shape(pixels: Tensor) -> tuple[int, int]:
    """Return height and width of pictures (N, H, W, 3)."""
    return pixels.shape[1], pixels.shape[2]
