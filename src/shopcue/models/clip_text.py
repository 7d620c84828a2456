"""Text -> a vector without any weights: what the small clip encoder reads speech and titles by.

Numpy alone, so that training and inference share it to the bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shopcue.models.text import is_unspaced, ngram_hashes, words
from shopcue.records import Floats

WIDTH = 2048
"""Places that n-grams are hashed to: wide enough that two words of one title seldom meet."""

_SIGN = np.uint64(63)  # the bit that gives the sign; the place is the remainder of the whole hash


def hashed_ngrams(texts: Sequence[str], width: int = WIDTH) -> Floats:
    """Return signed counts of hashed character n-grams and words, damped by a logarithm, of unit length.

    texts: any language, NFKC and casefolded here, of which `TEXT_LIMIT` characters are read. n-grams: of 3 to 5 within
    words between spaces, of 1 to 3 where a script puts no spaces; words between spaces count whole on top. Two
    features that meet in one place add up or cancel out, by sign, so that the cosine of two texts is on the mean what
    it is without hashing (Weinberger et al., ICML 2009). A text without words is the zero vector, which is like
    nothing. Float32 (N, width). Raises ValueError for a width below 1.
    """
    if width < 1:
        raise ValueError(f"width is {width}, expected at least 1")
    documents = [words(text) for text in texts]
    hashes, owners = ngram_hashes(documents)
    whole, whole_owners = _word_hashes(documents)
    hashes, owners = np.concatenate([hashes, whole]), np.concatenate([owners, whole_owners])
    features, counts = np.unique(np.stack([owners.astype(np.uint64), hashes]), axis=1, return_counts=True)
    rows, columns = features[0].astype(np.int64), (features[1] % np.uint64(width)).astype(np.int64)
    values = (1 + np.log(counts)) * np.where(features[1] >> _SIGN, 1.0, -1.0)
    cells = np.bincount(rows * width + columns, weights=values, minlength=len(texts) * width)
    vectors = cells.reshape(len(texts), width)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit


def _word_hashes(documents: Sequence[Sequence[str]]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return a 64-bit hash of every word between spaces, and which document it is in. Uint64 (n,), int64 (n,)."""
    pairs = [(word, index) for index, document in enumerate(documents) for word in document if not is_unspaced(word)]
    known = {
        word: int.from_bytes(hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest(), "little")
        for word, _ in pairs
    }
    return np.array([known[word] for word, _ in pairs], np.uint64), np.array([index for _, index in pairs], np.int64)
