"""A picture encoder of two layers, the first one frozen: what SGMN does can be tested without a real one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shopcue.nets.sgmn.encoders import PictureEncoder

PATCH = 4


class PatchEncoder(PictureEncoder):
    """The vectors of the patches are the linear image of frozen random filters; the picture's is their mean."""

    def __init__(self, dim: int, side_px: int) -> None:
        super().__init__()
        self.dim, self.side_px, self.tokens = dim, side_px, (side_px // PATCH) ** 2
        self.filters = nn.Conv2d(3, 32, PATCH, stride=PATCH)
        self.layer = nn.Linear(32, dim)
        self.freeze()

    def prepare(self, pixels: Tensor) -> Tensor:
        return pixels.permute(0, 3, 1, 2).float() / 128 - 1

    def trunk(self, pictures: Tensor) -> Tensor:
        return torch.relu(self.filters(pictures))

    def upper(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        places = self.layer(maps.flatten(2).transpose(1, 2))
        return places.mean(dim=1), places

    def freeze(self) -> None:
        self.filters.requires_grad_(False)
