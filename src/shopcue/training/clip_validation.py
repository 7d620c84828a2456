"""How an SGMN under training does on clips that it is not trained on; `shopcue eval` judges the exported one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shopcue.data.clip_pairs import ClipBench
from shopcue.metrics.retrieval import first_hit_ranks, recall_at
from shopcue.nets.sgmn.network import Sgmn
from shopcue.records import Floats, Indices
from shopcue.training.clip_samples import Sights

RECALL_AT = (1, 5, 10)

_BATCH = 16


@dataclass(frozen=True, slots=True)
class BenchVectors:
    """What a net makes of a bench, row by row as `bench.clips` and `bench.images` are.

    clips: float32 (Q, D). images: (G, D). speech: (Q, T). titles: (G, T). All unit or zero; T is 0 without text.
    """

    clips: Floats
    images: Floats
    speech: Floats
    titles: Floats


@torch.no_grad()
def encode_bench(net: Sgmn, bench: ClipBench, sights: Sights) -> BenchVectors:
    """Return the vectors of all clips and shop images; of what cannot be read, zeros."""
    net.eval()
    device = next(net.parameters()).device
    clips, images = [], []
    for start in range(0, len(bench.clips), _BATCH):
        seen = [sights.clip(clip, ()) for clip in bench.clips[start : start + _BATCH]]
        frames, there = (torch.as_tensor(np.stack(side)).to(device) for side in zip(*seen, strict=True))
        clips.append(net.encode_clips(_single(frames), there)[1].cpu().numpy())
    shown = list(bench.images.values())
    for start in range(0, len(shown), _BATCH):
        pictures = [sights.picture(image) for image in shown[start : start + _BATCH]]
        pixels = np.stack([sights.nothing if picture is None else picture for picture in pictures])
        known = np.array([picture is not None for picture in pictures])
        vectors = net.encode_pictures(_single(torch.as_tensor(pixels).to(device))).cpu().numpy()
        images.append(vectors * known[:, None])
    said, written = [clip.speech for clip in bench.clips], [image.title for image in shown]
    return BenchVectors(np.concatenate(clips), np.concatenate(images), _texts(net, said), _texts(net, written))


def bench_ranks(bench: ClipBench, vectors: BenchVectors, text_weight: float) -> Indices:
    """Return the rank of the first right image of each clip in the gallery of its live (SGMN eq. 23). int64 (Q,)."""
    row_of = {image_id: row for row, image_id in enumerate(bench.images)}
    lives = np.array([clip.live_id for clip in bench.clips])
    ranks = np.empty(len(bench.clips), np.int64)
    for live_id in dict.fromkeys(lives.tolist()):
        asked = np.flatnonzero(lives == live_id)
        gallery = [image_id for image_id in bench.galleries[live_id] if image_id in row_of]
        rows = [row_of[image_id] for image_id in gallery]
        scores = vectors.clips[asked] @ vectors.images[rows].T
        if text_weight:
            scores = scores + text_weight * vectors.speech[asked] @ vectors.titles[rows].T
        at = {image_id: column for column, image_id in enumerate(gallery)}
        right = [{at[one] for one in bench.clips[query].image_ids if one in at} for query in asked]
        ranks[asked] = first_hit_ranks(scores, right)
    return ranks


def recalls(ranks: Indices, chosen: NDArray[np.bool_] | None = None) -> dict[str, float]:
    """Return R@1, R@5, R@10 and their mean, of all queries or of those chosen; bool (Q,)."""
    kept = ranks if chosen is None else ranks[chosen]
    found = {f"R@{k}": recall_at(kept, k) for k in RECALL_AT}
    return {**found, "R@mean": sum(found.values()) / len(found)}


def _texts(net: Sgmn, texts: Sequence[str]) -> Floats:
    if net.alignment.text is None:
        return np.zeros((len(texts), 0), np.float32)
    parts = [net.encode_texts(texts[start : start + _BATCH]).cpu().numpy() for start in range(0, len(texts), _BATCH)]
    return np.concatenate(parts)


def _single(maps: torch.Tensor) -> torch.Tensor:
    return maps.float() if maps.dtype == torch.float16 else maps
