"""The region proposal network: the first stage, which says where things may be, whatever they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shopcue.nets.dprnet.anchors import anchor_shapes, place_anchors
from shopcue.nets.dprnet.boxes import clip, decode, encode, is_thin
from shopcue.nets.dprnet.losses import box_loss, objectness_loss
from shopcue.nets.dprnet.matching import match, sample, spare
from shopcue.nets.dprnet.operators import Operators
from shopcue.nets.house_detector import Truth


@dataclass(frozen=True, slots=True)
class ProposalSettings:
    """The first stage's numbers, those of Ren et al. unless said.

    anchor_sides: pixels; anchor_ratios: height to width. background_below, thing_from: overlaps. samples: anchors of a
    picture that are trained on. considered, kept: proposals before and after suppression.
    """

    anchor_sides: tuple[float, ...] = (32, 64, 128, 256, 512)
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    background_below: float = 0.3
    thing_from: float = 0.7
    samples: int = 256
    positive_share: float = 0.5
    considered: int = 2000
    kept_in_training: int = 1000
    kept: int = 300
    suppress_above: float = 0.7
    beta: float = 1 / 9


class RegionProposals(nn.Module):
    """A 3x3 convolution over the map and, for each anchor of each cell, whether a thing is there and where exactly."""

    shapes: Tensor
    unit: Tensor

    def __init__(self, channels: int, width: int, stride: int, settings: ProposalSettings) -> None:
        super().__init__()
        shapes = anchor_shapes(settings.anchor_sides, settings.anchor_ratios)
        self.hidden = nn.Conv2d(channels, width, 3, padding=1)
        self.objectness = nn.Conv2d(width, len(shapes), 1)
        self.deltas = nn.Conv2d(width, 4 * len(shapes), 1)
        self.stride, self.settings = stride, settings
        self.register_buffer("shapes", shapes, persistent=False)
        self.register_buffer("unit", torch.ones(4), persistent=False)
        for layer in (self.hidden, self.objectness, self.deltas):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (N, L), deltas (N, L, 4) and anchors (L, 4) of all anchors. features: (N, C, H, W)."""
        count, _, height, width = features.shape
        hidden = F.relu(self.hidden(features))
        logits = self.objectness(hidden).permute(0, 2, 3, 1).reshape(count, -1)
        deltas = self.deltas(hidden).permute(0, 2, 3, 1).reshape(count, -1, 4)
        return logits.float(), deltas.float(), place_anchors(self.shapes, height, width, self.stride)

    def propose(
        self, logits: Tensor, deltas: Tensor, anchors: Tensor, shape: tuple[int, int], operators: Operators
    ) -> tuple[Tensor, Tensor]:
        """Return where things may be, best first: boxes (N, K, 4) and logits (N, K), -inf where a place is empty.

        logits: (N, L), deltas: (N, L, 4), anchors: (L, 4), shape: height and width of the pictures. Every picture
        has K places, because an exported graph knows no lists of different lengths.
        """
        settings = self.settings
        kept = settings.kept_in_training if self.training else settings.kept
        best, which = logits.topk(min(settings.considered, logits.shape[1]), dim=1)
        deltas = deltas.gather(1, which[..., None].expand(-1, -1, 4))
        boxes = clip(decode(deltas, anchors[which], self.unit), *shape)
        best = best.masked_fill(is_thin(boxes), float("-inf"))
        stays = operators.stays(boxes, best, torch.zeros_like(which), 1, settings.suppress_above)
        best, which = best.masked_fill(~stays, float("-inf")).topk(min(kept, best.shape[1]), dim=1)
        return boxes.gather(1, which[..., None].expand(-1, -1, 4)), best

    def losses(
        self, logits: Tensor, deltas: Tensor, anchors: Tensor, truth: Truth, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return `rpn_class` and `rpn_box` of ONE picture. logits: (L,), deltas, anchors: (L, 4)."""
        settings = self.settings
        matched = match(anchors, truth.boxes, settings.background_below, settings.thing_from, best_too=True)
        matched = spare(matched, anchors, truth.ignored)
        things, background = sample(matched, settings.samples, settings.positive_share, generator)
        chosen = torch.cat([things, background])
        is_thing = torch.arange(len(chosen), device=logits.device) < len(things)
        wanted = encode(truth.boxes[matched[things]], anchors[things], self.unit)
        return {
            "rpn_class": objectness_loss(logits[chosen], is_thing),
            "rpn_box": box_loss(deltas[things], wanted, len(chosen), settings.beta),
        }
