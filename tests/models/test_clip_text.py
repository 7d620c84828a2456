"""Hashed n-grams against counting by hand, on text as hosts and shops write it."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopcue.models.clip_text import WIDTH, hashed_ngrams
from shopcue.models.text import ngram_hashes, words

TITLES = [
    "Oatly Natural Oatghurt",
    "Tropicana Apple Juice 1 l",
    "雪纺碎花连衣裙 夏季新款",
    "真皮单肩包 女包",
    "Plain grey t-shirt for men",
]


def by_hand(text: str, width: int) -> list[float]:
    """Count features one by one: every n-gram and every word between spaces by its own hash."""
    counts: Counter[int] = Counter()
    for word in words(text):
        unspaced = "\u3040" <= word[0] <= "\u9fff"
        counts.update(int(each) for each in ngram_hashes([[word]])[0])
        if not unspaced:
            counts[int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")] += 1
    cells = [0.0] * width
    for value, count in counts.items():
        cells[value % width] += (1 + math.log(count)) * (1 if value >= 2**63 else -1)
    length = math.sqrt(sum(cell**2 for cell in cells))
    return [cell / length for cell in cells] if length else cells


@settings(max_examples=60)
@given(st.lists(st.text("abé9 连衣裙A", max_size=12), min_size=1, max_size=4), st.sampled_from([1, 7, 64]))
def test_vectors_are_those_of_counting_by_hand(texts: list[str], width: int) -> None:
    vectors = hashed_ngrams(texts, width)
    assert vectors.shape == (len(texts), width)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [by_hand(text, width) for text in texts], atol=1e-6)


@given(st.lists(st.text(max_size=40), max_size=4))
def test_any_text_is_of_unit_length_or_nothing(texts: list[str]) -> None:
    vectors = hashed_ngrams(texts)
    assert vectors.shape == (len(texts), WIDTH)
    lengths = np.linalg.norm(vectors, axis=1)
    assert np.all(np.isclose(lengths, 1, atol=1e-5) | (lengths == 0))
    assert all(length == 0 for text, length in zip(texts, lengths, strict=True) if not text.strip())


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("so this one here is the oatly, the natural oatghurt, it is really creamy", 0),
        ("now the TROPICANA apple juice everybody", 1),
        ("宝宝们看一下这条雪纺的碎花连衣裙", 2),
        ("这个单肩包是真皮的哦", 3),
        ("a grey tshirt that goes with everything", 4),
    ],
)
def test_speech_is_most_like_the_title_that_it_names(said: str, meant: int) -> None:
    alike = hashed_ngrams([said]) @ hashed_ngrams(TITLES).T
    assert int(alike[0].argmax()) == meant


def test_hashing_keeps_cosines_on_the_mean() -> None:
    exact, folded = hashed_ngrams(TITLES, 1 << 20), hashed_ngrams(TITLES)
    np.testing.assert_allclose(folded @ folded.T, exact @ exact.T, atol=0.08)


def test_writing_does_not_matter_nor_does_the_batch() -> None:
    np.testing.assert_array_equal(hashed_ngrams(["Apple  JUICE!"]), hashed_ngrams(["ａｐｐｌｅ juice"]))
    together = hashed_ngrams(TITLES)
    for title, row in zip(TITLES, together, strict=True):
        np.testing.assert_array_equal(hashed_ngrams([title])[0], row)


def test_another_process_says_the_same_without_torch() -> None:
    code = (
        "import sys; from shopcue.models.clip_text import hashed_ngrams as h;"
        f"print(h({TITLES!r}).tobytes().hex()); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashed_ngrams(TITLES).tobytes().hex()


def test_no_texts_and_no_width() -> None:
    assert hashed_ngrams([]).shape == (0, WIDTH)
    with pytest.raises(ValueError, match="width is 0"):
        hashed_ngrams(TITLES, 0)
