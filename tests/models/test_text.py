"""Text matching against scikit-learn, plain counting, and names as hosts and recognisers mangle them."""

from __future__ import annotations

import math
from collections import Counter
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopcue.errors import RecordError
from shopcue.models.text import CELL_LIMIT, LexicalMatcher, NgramIndex, TitleWords, ngram_hashes, words
from shopcue.records import Catalog, Product

MILK = Product(
    "milk", "Arla Standard Milk", ("a.jpg",), "Fresh milk from Swedish farms. Its taste is round and creamy.", "Milk"
)
SOUR = Product("sour", "Arla Sour Milk", ("b.jpg",), "A classic with a slightly acidic and light taste.", "Milk")
JUICE = Product("juice", "Bravo Apple Juice", ("c.jpg",), "Ready to drink, fresh and pressed from apples.", "Juice")
SOY = Product("soy", "Alpro Blueberry Soyghurt", ("d.jpg",), "Soy based, with mild blueberry taste.", "Soyghurt")
SHOP = Catalog((MILK, SOUR, JUICE, SOY))

CHINESE = Catalog(
    tuple(
        Product(str(i), title, ("x.jpg",))
        for i, title in enumerate(["雪纺碎花连衣裙 夏季新款", "高腰牛仔裤 女 显瘦", "真皮单肩包 女包", "防晒霜 SPF50"])
    )
)


def catalog(*titles: str) -> Catalog:
    return Catalog(tuple(Product(str(i), title, ("x.jpg",)) for i, title in enumerate(titles)))


def best(matcher: LexicalMatcher, text: str) -> int:
    score = matcher.score([text])[0]
    first = int(score.argmax())
    assert score[first] > np.delete(score, first).max() + 0.1, f"{text!r} is unclear: {score}"
    return first


# ---- the parts against something independent -------------------------------------------------------------------


def plain_ngrams(text: list[str], spaced: tuple[int, ...], unspaced: tuple[int, ...]) -> Counter[str]:
    grams: Counter[str] = Counter()
    for word in text:
        lengths = unspaced if "\u3040" <= word[0] <= "\u9fff" else spaced
        padded = word if lengths is unspaced else f" {word} "
        for n in lengths:
            grams.update(padded[i : i + n] for i in range(len(padded) - n + 1))
    return grams


@settings(max_examples=60)
@given(st.lists(st.lists(st.text("abé9裙连衣", min_size=1, max_size=7), max_size=6), min_size=1, max_size=4))
def test_ngrams_are_those_of_a_plain_loop(drawn: list[list[str]]) -> None:
    documents = [words(" ".join(document)) for document in drawn]
    hashes, owners = ngram_hashes(documents)
    for i, document in enumerate(documents):
        expected = plain_ngrams(document, (3, 4, 5), (1, 2, 3))
        found = Counter(hashes[owners == i].tolist())
        assert sorted(found.values()) == sorted(expected.values())


TEXTS = ["the quick brown fox", "a lazy dog, and 2 foxes", "quick quick dogs", "", "Crème fraîche I"]


def test_cosines_are_those_of_scikit_learn() -> None:
    text = pytest.importorskip("sklearn.feature_extraction.text", reason="scikit-learn is not installed")
    reference = text.TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), lowercase=False)
    indexed = reference.fit_transform([" ".join(words(t)) for t in TEXTS])
    queries = ["brown foxes", "dog", "fraîche", "zzz", ""]
    expected = (reference.transform([" ".join(words(q)) for q in queries]) @ indexed.T).toarray()
    index = NgramIndex([words(t) for t in TEXTS])
    np.testing.assert_allclose(index.cosines([words(q) for q in queries]), expected, atol=1e-5)
    assert len(index.idf) == len(reference.vocabulary_)


def test_cosines_without_spaces_are_those_of_scikit_learn() -> None:
    text = pytest.importorskip("sklearn.feature_extraction.text", reason="scikit-learn is not installed")
    titles = [product.title.split()[0] for product in CHINESE]
    reference = text.TfidfVectorizer(analyzer="char", ngram_range=(1, 3))
    indexed = reference.fit_transform(titles)
    queries = ["真皮牛仔裤", "连衣裙", "好看"]
    expected = (reference.transform(queries) @ indexed.T).toarray()
    found = NgramIndex([words(t) for t in titles]).cosines([words(q) for q in queries])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_shares_are_those_of_a_plain_loop() -> None:
    documents = [words(p.description) for p in SHOP]
    index = NgramIndex(documents)
    sets = [set(plain_ngrams(d, (3, 4, 5), (1, 2, 3))) for d in documents]

    def squared_idf(gram: str) -> float:
        return (math.log((1 + len(sets)) / (1 + sum(gram in s for s in sets))) + 1) ** 2

    query = words("Its taste is fresh, fresh and unknown")
    grams = set(plain_ngrams(query, (3, 4, 5), (1, 2, 3)))
    whole = sum(squared_idf(gram) for gram in grams)
    expected = [sum(squared_idf(gram) for gram in grams & s) / whole for s in sets]
    np.testing.assert_allclose(index.shares([query])[0], expected, rtol=1e-5)


def test_containment_is_the_share_of_telling_words() -> None:
    titles = [["arla", "milk"], ["arla", "juice"], ["bravo", "juice"]]
    found = TitleWords(titles, [[], [], []], prior=0.0).contained([["the", "arla", "xyzzy"]])[0]
    rare, common = math.log(4 / 2) + 1, math.log(4 / 3) + 1  # of 3 products: bravo and milk in one, the others in two
    np.testing.assert_allclose(found, [common / (common + rare), 0.5, 0], rtol=1e-5)


# ---- the whole -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "product"),
    [
        ("Next up we have the Arla Standard Milk.", MILK),
        ("ARLA SOUR MILK!!!", SOUR),
        ("This one here is the wrong apple juice", JUICE),
        ("two bravo apple juices left", JUICE),
        ("Have a look at the Alpro Blueberry Soigut", SOY),
        ("the all pro blue berry soy ghurt", SOY),
        ("The taste is round and creamy.", MILK),
        ("Ready to drink, fresh and pressed from apples", JUICE),
    ],
)
def test_what_is_named_is_found(text: str, product: Product) -> None:
    assert best(LexicalMatcher(SHOP), text) == SHOP.position[product.product_id]


@pytest.mark.parametrize(
    "text",
    ["", "   ", "!?", "Hello everybody, welcome back to the stream", "今天天气很好", "<script>alert(1)</script>"],
)
def test_what_names_nothing_scores_low(text: str) -> None:
    assert LexicalMatcher(SHOP).score([text]).max() < 0.2


def test_same_brand_twins_tie_when_only_the_brand_is_said() -> None:
    score = LexicalMatcher(SHOP).score(["the new one from Arla"])[0]
    assert 0.1 < score[1] < 0.5
    assert abs(score[0] - score[1]) < 0.1


def test_a_title_inside_another_loses_to_the_longer_one() -> None:
    matcher = LexicalMatcher(catalog("Milk", "Oat Milk", "Oat Bar"))
    assert matcher.score(["this is the oat milk"])[0].argmax() == 1
    assert matcher.score(["this is the milk"])[0].argmax() == 0


def test_the_brand_counts_where_the_title_lacks_it() -> None:
    shop = Catalog(
        (Product("a", "Running Shoe", ("a",), brand="Zephyr"), Product("b", "Running Shoe", ("b",), brand="Orion"))
    )
    assert best(LexicalMatcher(shop), "the running shoe by Orion") == 1


@pytest.mark.parametrize(
    ("text", "product"),
    [("大家看这件连衣裙", 0), ("高腰牛仔裤显瘦", 1), ("这个单肩包是真皮的", 2), ("ｓｐｆ５０防晒霜", 3)],
)
def test_chinese_needs_no_spaces(text: str, product: int) -> None:
    assert best(LexicalMatcher(CHINESE, homophones=False), text) == product


@pytest.mark.skipif(find_spec("pypinyin") is None, reason="pypinyin is not installed (the extra speech)")
@pytest.mark.parametrize(("text", "product"), [("这个连一群真的很好看", 0), ("好多人问这个防晒双", 3)])
def test_homophones_are_found_by_their_sound(text: str, product: int) -> None:
    assert best(LexicalMatcher(CHINESE), text) == product
    exact = LexicalMatcher(CHINESE, homophones=False).score([text])[0]
    assert exact[product] < LexicalMatcher(CHINESE, homophones=True).score([text])[0, product]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=5), st.lists(st.text(max_size=40), max_size=5))
def test_scores_are_in_range_and_batches_change_nothing(titles: list[str], texts: list[str]) -> None:
    matcher = LexicalMatcher(catalog(*titles))
    scores = matcher.score(texts)
    assert scores.shape == (len(texts), len(titles))
    assert scores.dtype == np.float32
    assert not len(scores) or not scores.size or (scores.min() >= 0 and scores.max() <= 1)
    for text, row in zip(texts, scores, strict=True):
        np.testing.assert_allclose(matcher.score([text])[0], row, atol=1e-6)


def test_long_texts_are_cut() -> None:
    matcher = LexicalMatcher(SHOP)
    filler = "so nice " * 300
    np.testing.assert_array_equal(matcher.score([filler + "Bravo Apple Juice"]), matcher.score([filler]))


def test_too_many_scores_at_once_are_refused() -> None:
    with pytest.raises(RecordError, match="score them in parts"):
        LexicalMatcher(SHOP).score([""] * (CELL_LIMIT // 4 + 1))
