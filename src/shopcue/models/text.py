"""Text -> products: how surely an utterance or a comment names each product of a catalogue.

`LexicalMatcher` needs no weights. It joins three views of "this text names that product": how much of the title occurs
in the text, word by word and tolerant to inflection and to what recognition mishears; the cosine of character n-grams
between text and title; and how much of the text is found in the description, which hosts like to read aloud.
Scripts without spaces work through n-grams of one to three characters. Where pypinyin is installed, Chinese
characters of one sound count as one character, since Mandarin recognition errs by homophone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shopcue.errors import RecordError
from shopcue.records import Catalog, Floats, Product

TEXT_LIMIT = 2_000  # characters of a text that are read
DESCRIPTION_LIMIT = 600  # characters of one description that are read ...
DESCRIPTIONS_LIMIT = 8_000_000  # ... and of all descriptions together, which bounds the memory of a huge catalogue
CELL_LIMIT = 1 << 28  # scores in one answer

# Thai, Lao, Burmese and Khmer; kana; Han with its extensions. Hangul has spaces, but its particles cling to the word.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    r"\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}]+|[^\W_{_UNSPACED}]+")
_UNSPACED_WORD = re.compile(rf"[{_UNSPACED}]")
_SPACE = ord(" ")


class TextMatcher(Protocol):
    """Says of each product of one catalogue how surely a text names it."""

    def score(self, texts: Sequence[str]) -> Floats:
        """Return scores in [0, 1], a higher one names it more surely. N texts -> float32 (N, P)."""


# ---- words and n-grams -----------------------------------------------------------------------------------------


def words(text: str, fold: Callable[[str], str] = str) -> list[str]:
    """Return the words of a text, NFKC and casefolded; a run of a script without spaces is one word.

    fold: what is done to the normalised text before it is cut, such as the folding of homophones.
    """
    return _WORD.findall(fold(unicodedata.normalize("NFKC", text[:TEXT_LIMIT]).casefold()))


def is_unspaced(word: str) -> bool:
    """Say whether a word is a run of a script that puts no spaces between words."""
    return _UNSPACED_WORD.match(word) is not None


class HomophoneFolding(dict[int, int]):
    """A table for `str.translate` that gives Chinese characters of one toneless syllable one character.

    It fills itself with what it meets, at most one entry for each code point that is met. Needs pypinyin.
    """

    def __init__(self) -> None:
        from pypinyin import lazy_pinyin  # an extra: only Mandarin shops need it

        super().__init__()
        self._pronounce = lazy_pinyin
        self._first: dict[str, int] = {}

    def __missing__(self, code: int) -> int:
        character = chr(code)
        folded = code
        if "\u3400" <= character <= "\u9fff":
            folded = self._first.setdefault(self._pronounce(character)[0], code)
        self[code] = folded
        return folded


def ngram_hashes(
    documents: Sequence[Sequence[str]], spaced: Sequence[int] = (3, 4, 5), unspaced: Sequence[int] = (1, 2, 3)
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return a 64-bit hash of every character n-gram, and which document it is in.

    documents: the words of each. spaced: the lengths n for words between spaces, whose n-grams may hold the space on
    either side of the word (scikit-learn's `char_wb`). unspaced: the lengths for scripts without spaces. Returns uint64
    (n,), int64 (n,).
    """
    texts = [" " + "  ".join(document) + " " for document in documents]
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "replace"), np.uint32)
    owner = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    cjk = np.zeros(len(codes), bool)
    for low, high in _ranges():
        cjk |= (codes >= low) & (codes <= high)
    space = codes == _SPACE
    hashes, owners = [], []
    for n in sorted({*spaced, *unspaced}):
        count = max(0, len(codes) - n + 1)
        windows = [slice(k, k + count) for k in range(n)]
        keep = np.zeros(count, bool)
        if n in unspaced:
            keep |= np.logical_and.reduce([cjk[w] for w in windows])
        if n in spaced:
            letters = ~space & ~cjk
            inner = [letters[w] for w in windows[1:-1]]
            ends = [letters[windows[0]] | space[windows[0]], letters[windows[-1]] | space[windows[-1]]]
            keep |= np.logical_and.reduce(inner + ends)
        value = np.full(count, n, np.uint64)
        for window in windows:
            value = (value ^ codes[window].astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
            value ^= value >> np.uint64(29)
        hashes.append(value[keep])
        owners.append(owner[:count][keep])
    return np.concatenate(hashes), np.concatenate(owners)


def _ranges() -> list[tuple[int, int]]:
    """The code points of `_UNSPACED`, read off it so that the two cannot disagree."""
    bounds = re.findall(r"(\S)-(\S)", _UNSPACED.encode("ascii").decode("unicode_escape"))
    return [(ord(low), ord(high)) for low, high in bounds]


class NgramIndex:
    """TF-IDF over character n-grams, as scikit-learn's `TfidfVectorizer(analyzer="char_wb")` defines it.

    The vocabulary is that of the documents that it was made with; an n-gram outside it counts for nothing.
    documents: words of each of M documents. `idf` is float32 (V,); `sizes` is how many distinct n-grams each document
    has, int (M,).
    """

    def __init__(
        self,
        documents: Sequence[Sequence[str]],
        spaced: Sequence[int] = (3, 4, 5),
        unspaced: Sequence[int] = (1, 2, 3),
    ) -> None:
        self._lengths = (tuple(spaced), tuple(unspaced))
        hashes, owners = ngram_hashes(documents, *self._lengths)
        self._vocabulary, columns = np.unique(hashes, return_inverse=True)
        counts = self._counts(columns, owners, len(documents))
        frequency = np.bincount(counts.indices, minlength=len(self._vocabulary))
        self.idf: Floats = (np.log((1 + len(documents)) / (1 + frequency)) + 1).astype(np.float32)
        self._rarest = float(np.log(1 + len(documents)) + 1)
        self.sizes = np.diff(counts.indptr)
        # Kept turned, as a product needs them: turning the whole index for each text would cost more than the product.
        self._turned = self._weigh(counts).T.tocsr()
        self._present = sparse.csr_array(
            (np.ones_like(self._turned.data), self._turned.indices, self._turned.indptr), shape=self._turned.shape
        )

    def cosines(self, documents: Sequence[Sequence[str]]) -> Floats:
        """Return the TF-IDF cosine of each text with each indexed document. Float32 (N, M)."""
        alike: Floats = (self.transform(documents) @ self._turned).toarray()
        return alike

    def transform(self, documents: Sequence[Sequence[str]]) -> sparse.csr_array:
        """Return the TF-IDF of other documents. Float32 CSR (N, V), each row of unit length or empty."""
        hashes, owners = ngram_hashes(documents, *self._lengths)
        columns, known = self._look_up(hashes)
        return self._weigh(self._counts(columns[known], owners[known], len(documents)))

    def shares(self, documents: Sequence[Sequence[str]]) -> Floats:
        """Return how much of each text is found in each indexed document, wherever in it.

        Distinct n-grams count by their squared IDF; one that no document has counts as the rarest. Float32 (N, M).
        """
        counts, sizes = self._distinct(documents)
        missing = (sizes - np.diff(counts.indptr)) * self._rarest**2
        counts.data = self.idf[counts.indices] ** 2
        mass = np.maximum(counts.sum(axis=1) + missing, 1e-9).astype(np.float32)
        found: Floats = (counts @ self._present).toarray() / mass[:, None]
        return found

    def common(self, documents: Sequence[Sequence[str]]) -> tuple[sparse.coo_array, NDArray[np.int64]]:
        """Return how many distinct n-grams each text shares with each indexed document, and how many it has.

        Sparse float32 (N, M), int64 (N,).
        """
        counts, sizes = self._distinct(documents)
        return (counts @ self._present).tocoo(), sizes

    def _distinct(self, documents: Sequence[Sequence[str]]) -> tuple[sparse.csr_array, NDArray[np.int64]]:
        """Return a 1 for each known n-gram of each text (N, V), and how many distinct ones it has, known or not."""
        hashes, owners = ngram_hashes(documents, *self._lengths)
        distinct = np.unique(np.stack([owners.astype(np.uint64), hashes]), axis=1)
        owners, hashes = distinct[0].astype(np.int64), distinct[1]
        columns, known = self._look_up(hashes)
        return self._counts(columns[known], owners[known], len(documents)), np.bincount(
            owners, minlength=len(documents)
        )

    def _look_up(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the column of each n-gram, and whether it has one."""
        columns = np.searchsorted(self._vocabulary, hashes)
        columns[columns == len(self._vocabulary)] = 0
        known = self._vocabulary[columns] == hashes if len(self._vocabulary) else np.zeros(len(hashes), bool)
        return columns, known

    def _counts(self, columns: NDArray[np.int64], owners: NDArray[np.int64], rows: int) -> sparse.csr_array:
        ones = np.ones(len(columns), np.float32)
        counts = sparse.csr_array((ones, (owners, columns)), shape=(rows, len(self._vocabulary)))
        counts.sum_duplicates()
        return counts

    def _weigh(self, counts: sparse.csr_array) -> sparse.csr_array:
        counts.data *= self.idf[counts.indices]
        return _unit_rows(counts)


def _unit_rows(matrix: sparse.csr_array) -> sparse.csr_array:
    """Divide each row by its length; an empty row stays empty."""
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1))).ravel()
    matrix.data /= np.repeat(norms, np.diff(matrix.indptr)).astype(np.float32)
    return matrix


# ---- the lexical matcher ---------------------------------------------------------------------------------------


class LexicalMatcher:
    """Words and character n-grams against titles and descriptions; needs no weights.

    containment: the weight of title words against title n-grams, whose weighted mean is how surely the text names the
    title. description: how surely a text that is found in a product's description word for word names that product.
    homophones: whether Chinese characters of one sound are one character; None = where pypinyin is installed.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        containment: float = 0.7,
        description: float = 0.7,
        homophones: bool | None = None,
    ) -> None:
        self._products = len(catalog)
        self._containment = containment
        self._description = description
        wanted = find_spec("pypinyin") is not None if homophones is None else homophones
        folding = HomophoneFolding() if wanted else {}
        self._fold = lambda text: text.translate(folding)
        names = [self._words(_name(product)) for product in catalog]
        limit = min(DESCRIPTION_LIMIT, DESCRIPTIONS_LIMIT // max(1, len(catalog)))
        descriptions = [self._words(product.description[:limit]) for product in catalog]
        self._titles = TitleWords(names, descriptions)
        self._names = NgramIndex([n + self._words(p.category) for n, p in zip(names, catalog, strict=True)])
        self._descriptions = NgramIndex(descriptions)

    def score(self, texts: Sequence[str]) -> Floats:
        """Return scores in [0, 1], a higher one names it more surely. N texts -> float32 (N, P).

        Texts are read up to 2,000 characters. Raises RecordError when N x P is too much for one answer.
        """
        products = self._products
        if len(texts) * products > CELL_LIMIT:
            raise RecordError(
                f"{len(texts)} texts against {products} products at once, expected at most {CELL_LIMIT // products}"
                " texts; score them in parts"
            )
        documents = [self._words(text) for text in texts]
        scores = np.zeros((len(texts), products), np.float32)
        if products and documents:
            contained = self._containment * self._titles.contained(documents)
            alike = (1 - self._containment) * self._names.cosines(documents)
            # The cube: nearly all of a sentence must be found, since half of any is in some long description.
            read_aloud = self._description * self._descriptions.shares(documents) ** 3
            scores[:] = 1 - (1 - np.minimum(contained + alike, 1)) * (1 - read_aloud)
        return np.clip(scores, 0, 1)

    def _words(self, text: str) -> list[str]:
        return words(text, self._fold)


class TitleWords:
    """How much of each product's title occurs in a text, by words that are weighed by how much they tell.

    names: the words of each title. descriptions: the words of each description; a word that is frequent there tells
    little, which finds the function words of any language. similar: how alike two words must be to count, in Dice
    coefficient of character bigrams and trigrams; fuzzy ones count by its square.
    """

    def __init__(
        self,
        names: Sequence[Sequence[str]],
        descriptions: Sequence[Sequence[str]],
        *,
        similar: float = 0.6,
        prior: float = 0.3,
    ) -> None:
        self._similar = similar
        tokens = [list(dict.fromkeys(_tokens(name))) for name in names]
        self._column = {token: i for i, token in enumerate(dict.fromkeys(t for row in tokens for t in row))}
        rows = np.repeat(np.arange(len(tokens)), [len(row) for row in tokens])
        columns = np.array([self._column[t] for row in tokens for t in row], np.int64)
        telling = self._telling(tokens, descriptions)
        shape = (len(tokens), len(self._column))
        weights = sparse.csr_array((telling[columns], (rows, columns)), shape=shape, dtype=np.float32)
        mass = np.asarray(weights.sum(axis=1)).ravel()
        self._weights = weights.T.tocsr()
        # The prior lets a long title that is wholly said win over a short one inside it.
        self._mass: Floats = np.maximum(mass, 1e-9) + prior * float(np.median(telling) if len(telling) else 1)
        self._spelling = NgramIndex([[token] for token in self._column], (2, 3), (1, 2))

    def contained(self, documents: Sequence[Sequence[str]]) -> Floats:
        """Return the weighted share of each title that occurs in each text. N texts' words -> float32 (N, P)."""
        found = np.zeros((len(documents), len(self._column)), np.float32)
        for row, document in zip(found, documents, strict=True):
            # One text at a time: a long one against a huge catalogue is as much as should be in memory at once.
            joined = ["".join(pair) for pair in pairwise(document)]
            said = list(dict.fromkeys([*_tokens(document), *joined]))
            if said and len(row):
                row[:] = self._heard(said).max(axis=0).toarray().ravel()
        shares: Floats = (sparse.csr_array(found) @ self._weights).toarray() / self._mass
        return shares

    def _heard(self, said: Sequence[str]) -> sparse.csr_array:
        """Return how surely each word that was said is each word of the titles. Float32 CSR (len(said), V)."""
        common, sizes = self._spelling.common([[token] for token in said])
        rows, columns = common.coords
        dice = 2 * common.data / (sizes[rows] + self._spelling.sizes[columns])
        known = np.array([self._column.get(token, -1) for token in said], np.int64)
        exact = known[rows] == columns
        # A word that the titles know is less likely to be another of their words, misheard.
        weight = np.where(exact, 1.0, dice**2 * np.where(known[rows] >= 0, 0.5, 1.0))
        keep = exact | (dice >= self._similar)
        return sparse.csr_array(
            (weight[keep].astype(np.float32), (rows[keep], columns[keep])), shape=(len(said), len(self._column))
        )

    def _telling(self, tokens: Sequence[Sequence[str]], descriptions: Sequence[Sequence[str]]) -> Floats:
        """Return the inverse document frequency of each word of the titles, in the products' whole texts."""
        counts = np.zeros(len(self._column))
        for own, described in zip(tokens, descriptions, strict=True):
            known = {self._column[token] for token in {*own, *_tokens(described)} if token in self._column}
            counts[list(known)] += 1
        brevity = np.array([1.0 if is_unspaced(t) else min(1.0, len(t) / 4) for t in self._column])
        telling: Floats = ((np.log((1 + len(tokens)) / (1 + counts)) + 1) * brevity).astype(np.float32)
        return telling


def _tokens(words: Iterable[str]) -> list[str]:
    """Words as they are, and runs of a script without spaces as their pairs of characters."""
    tokens: list[str] = []
    for word in words:
        if is_unspaced(word) and len(word) > 2:
            tokens += [word[i : i + 2] for i in range(len(word) - 1)]
        else:
            tokens.append(word)
    return tokens


def _name(product: Product) -> str:
    """What a host may call a product: its title, and its brand where the title does not say it."""
    said = product.brand.casefold() in product.title.casefold()
    return product.title if said else f"{product.brand} {product.title}"
