"""Tiny random CLIPs in the model hub's format, with tokenizers of a few tokens."""

from __future__ import annotations

from pathlib import Path

import transformers

SIDE, DIM = 32, 16
_SMALL = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
_VISION = {**_SMALL, "num_hidden_layers": 3, "image_size": SIDE, "patch_size": 8}


def write_clip(folder: Path) -> None:
    letters = [*"abc", *(f"{letter}</w>" for letter in "abc"), "ab", "ab</w>"]
    vocabulary = {token: i for i, token in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}
    config = transformers.CLIPConfig(
        text_config={
            **_SMALL,
            "vocab_size": len(vocabulary),
            "max_position_embeddings": 12,
            "bos_token_id": vocabulary["<|startoftext|>"],
            "eos_token_id": vocabulary["<|endoftext|>"],
            "pad_token_id": vocabulary["<|endoftext|>"],
        },
        vision_config=_VISION,
        projection_dim=DIM,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    transformers.CLIPTokenizer(vocab=vocabulary, merges=[("a", "b"), ("a", "b</w>")]).save_pretrained(folder)


def write_chinese_clip(folder: Path) -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"苹果汁红裙子"]
    config = transformers.ChineseCLIPConfig(
        text_config={**_SMALL, "vocab_size": len(tokens), "max_position_embeddings": 64, "pad_token_id": 0},
        vision_config=_VISION,
        projection_dim=DIM,
    )
    transformers.ChineseCLIPModel(config).save_pretrained(folder)
    vocabulary = {token: i for i, token in enumerate(tokens)}
    transformers.BertTokenizer(vocab=vocabulary).save_pretrained(folder)
