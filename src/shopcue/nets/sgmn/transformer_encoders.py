"""CLIP and Chinese-CLIP as encoders of SGMN, out of folders in the model hub's format. Needs `transformers`.

Weights are read from safetensors alone, never from a pickle, and code that comes with a model is never run. The hub is
asked only where a caller allows it; else a folder, or the hub's local cache, must hold everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoTokenizer,
    ChineseCLIPModel,
    CLIPModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from shopcue.errors import SettingsError, WeightsError
from shopcue.nets.sgmn.encoders import PictureEncoder, TextEncoder, Tokens

_MODELS: dict[str, Any] = {"clip": CLIPModel, "chinese_clip": ChineseCLIPModel}
_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of RGB in [0, 1], as both were trained with
_STD = (0.26862954, 0.26130258, 0.27577711)
_PUBLISHED_CONTEXT = 52  # Yang et al., 2022: the characters that Chinese-CLIP was trained to read


class VitPictureEncoder(PictureEncoder):
    """The vision transformer of a CLIP: the places are its patches, the vector is its class token.

    model: as `load_clip` returns it. frozen_layers: 0 trains everything, the patch embedding too, and the trunk's map
    is the prepared picture itself; from 1 on the embedding and so many layers are frozen.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: PreTrainedModel, frozen_layers: int = 0) -> None:
        super().__init__()
        config = model.config.vision_config
        self.vision, self.projection = model.vision_model, model.visual_projection
        if not 0 <= frozen_layers <= len(self.vision.encoder.layers):
            raise SettingsError(
                f"frozen is {frozen_layers}, expected 0 to {len(self.vision.encoder.layers)} layers of this encoder"
            )
        self.dim, self.side_px = model.config.projection_dim, config.image_size
        self.tokens = (config.image_size // config.patch_size) ** 2
        self.frozen_layers = frozen_layers
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None] * 255, persistent=False)
        self.register_buffer("std", torch.tensor(_STD)[:, None, None] * 255, persistent=False)
        self.freeze()

    def prepare(self, pixels: Tensor) -> Tensor:
        """Return pixels by CLIP's mean and deviation of each colour. uint8 RGB (N, S, S, 3) -> float (N, 3, S, S)."""
        return (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std

    def trunk(self, pictures: Tensor) -> Tensor:
        """Return the tokens after the frozen layers, (N, 1 + P, width); the picture itself where none is frozen."""
        if not self.frozen_layers:
            return pictures
        return self._through(self._embed(pictures), 0, self.frozen_layers)

    def upper(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return (vectors (N, D), vectors of the patches (N, P, D), row by row) of what the trunk returns."""
        rows = self.projection(self.vision.post_layernorm(self._trained(maps, len(self.vision.encoder.layers))))
        return rows[:, 0], rows[:, 1:]

    def attention(self, maps: Tensor) -> Tensor:
        """Return how much of each patch the class token takes in the last layer, the mean over heads. (N, P)."""
        last = len(self.vision.encoder.layers) - 1
        if self.frozen_layers > last:
            raise SettingsError(f"all {last + 1} layers are frozen, expected the last one to be trained to look at it")
        layer = self.vision.encoder.layers[last]
        rows = layer.layer_norm1(self._trained(maps, last))
        heads = (layer.self_attn.num_heads, -1)
        query = layer.self_attn.q_proj(rows[:, :1]).unflatten(-1, heads).transpose(1, 2)
        keys = layer.self_attn.k_proj(rows).unflatten(-1, heads).transpose(1, 2)
        taken = (query @ keys.transpose(-2, -1) * query.shape[-1] ** -0.5).softmax(dim=-1)[:, :, 0, 1:].mean(dim=1)
        return taken / taken.sum(dim=-1, keepdim=True)

    def freeze(self) -> None:
        """Stop training of the embedding and of the first `frozen_layers` layers."""
        if self.frozen_layers:
            layers = self.vision.encoder.layers[: self.frozen_layers]
            for module in (self.vision.embeddings, self.vision.pre_layrnorm, *layers):
                module.requires_grad_(False)

    def _trained(self, maps: Tensor, until: int) -> Tensor:
        return self._through(maps if self.frozen_layers else self._embed(maps), self.frozen_layers, until)

    def _embed(self, pictures: Tensor) -> Tensor:
        return self.vision.pre_layrnorm(self.vision.embeddings(pictures))

    def _through(self, tokens: Tensor, first: int, until: int) -> Tensor:
        for layer in self.vision.encoder.layers[first:until]:
            tokens = layer(tokens, attention_mask=None)
        return tokens


class ClipTextEncoder(TextEncoder):
    """The text transformer of a CLIP, frozen, which reads up to `longest` tokens.

    model, tokenizer: as `load_clip` and `load_tokenizer` return them. Raises WeightsError where the tokenizer is of
    another model.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.text_model, self.projection = model.text_model, model.text_projection
        self.width = model.config.projection_dim
        self._first_token = isinstance(model, ChineseCLIPModel)  # else the last one, which the model picks itself
        self.tokenizer = tokenizer
        # Where a folder has no vocabulary, transformers makes up an empty tokenizer, to which all texts are alike.
        known, expected = len(tokenizer), model.config.text_config.vocab_size
        if not expected / 2 <= known <= expected:
            raise WeightsError(f"the tokenizer knows {known} tokens, expected {expected}; give the one of the model")
        positions = model.config.text_config.max_position_embeddings
        self.longest = min(_PUBLISHED_CONTEXT, positions) if self._first_token else positions
        self.requires_grad_(False)
        self.train(False)

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Return input_ids, attention_mask and, for Chinese-CLIP, token_type_ids, int64 (N, longest text).

        A text is cut to what the model reads: 77 tokens of CLIP, 52 of Chinese-CLIP as published.
        """
        encoded = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.longest, return_tensors="pt"
        )
        return dict(encoded)

    def forward(self, tokens: Tokens) -> Tensor:
        """Return the vectors in the space that the model shares with its pictures, (N, Dt)."""
        answer = self.text_model(**tokens)
        pooled = answer.last_hidden_state[:, 0] if self._first_token else answer.pooler_output
        return self.projection(pooled)


def load_clip(where: str, download: bool = False) -> PreTrainedModel:
    """Return the CLIP or Chinese-CLIP in a folder, or by its name on the hub, in single precision.

    Raises WeightsError where it is not there, of another kind, not safetensors, damaged or incomplete.
    """
    offline: dict[str, Any] = {"local_files_only": not download, "trust_remote_code": False}
    try:
        kind = AutoConfig.from_pretrained(where, **offline).model_type
        if kind not in _MODELS:
            raise WeightsError(f"{where} holds a model of kind {kind!r}, expected {' or '.join(_MODELS)}")
        model, told = _MODELS[kind].from_pretrained(
            where, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **offline
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise _unreadable(where, "model.safetensors and config.json", error) from error
    # What a file lacks would be drawn at random, and only a warning would tell.
    lacking = sorted(told["missing_keys"])
    if lacking:
        raise WeightsError(f"the weights in {where} lack {len(lacking)} tensors such as {lacking[0]}; fetch them again")
    return model.eval()


def load_tokenizer(where: str, download: bool = False) -> PreTrainedTokenizerBase:
    """Return the tokenizer that lies beside a model. Raises WeightsError where it is not there or damaged."""
    try:
        return AutoTokenizer.from_pretrained(where, local_files_only=not download, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise _unreadable(where, "tokenizer.json, or the vocabulary of its tokenizer", error) from error


def _unreadable(where: str, files: str, error: Exception) -> WeightsError:
    reason = str(error).strip().split("\n")[0][:200]
    return WeightsError(
        f"cannot read the encoder {where!r} ({reason}); give a folder with {files}, or let it be downloaded"
    )
