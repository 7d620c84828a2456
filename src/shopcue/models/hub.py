"""Find weights, verify them, and name them by what they hold.

Weights come, in this order, from: a path given, the package's own `weights/`, an installed carrier package, the local
hub cache, the model hub. Whatever `weights/weights.json` lists is refused unless its sha256 is the listed one. Only
formats that cannot run code are opened (.onnx, .safetensors), never a pickle.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import urllib3

from shopcue.errors import WeightsError

INDEX = Path(__file__).parent.parent / "weights" / "weights.json"
SCHEMA = "shopcue.weights/1"
SAFE_SUFFIXES = (".onnx", ".safetensors")
MOST_BYTES = 4 << 30
HUB = "https://huggingface.co"

_NAME = re.compile(r"[\w][\w.-]*")
_REPOSITORY = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_CHUNK_BYTES = 1 << 20

Fetch = Callable[[str], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Weights:
    """A file of weights that was found and read through once. sha256: of its bytes, hexadecimal."""

    name: str
    path: Path
    sha256: str

    @property
    def fingerprint(self) -> str:
        """The name with the head of the hash: what a store notes beside its vectors."""
        return f"{self.name}-{self.sha256[:16]}"


@dataclass(frozen=True, slots=True)
class Listing:
    """One entry of the index: the file's name and hash, and where else than in the package it may lie.

    carrier: (importable package, path in it). hub: (repository "owner/name", revision, path in it).
    """

    name: str
    file: str
    sha256: str
    carrier: tuple[str, str] | None = None
    hub: tuple[str, str, str] | None = None


def read_index(path: Path = INDEX) -> dict[str, Listing]:
    """Return the listed weights by name; raises WeightsError where the index is missing or malformed."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']!r}")
        return {name: _listing(name, entry) for name, entry in document["weights"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} is no index of weights of {SCHEMA} ({error}); reinstall shopcue") from error


def find_weights(
    name: str, path: Path | None = None, *, download: bool = False, index: Path = INDEX, fetch: Fetch | None = None
) -> Weights:
    """Return the weights `name` from the first place that has them.

    path: the user's own file, taken as it is and named by its hash. download: whether the model hub may be asked.
    Raises WeightsError where nothing is found, a file's hash is not the listed one, or its format could run code.
    """
    if path is not None:
        return Weights(name, path, file_sha256(checked_format(path)))
    listings = read_index(index)
    if name not in listings:
        raise WeightsError(f"no weights are named {name!r}; known are {', '.join(sorted(listings))}, or give a path")
    listing = listings[name]
    for candidate in local_candidates(listing, index.parent):
        if candidate.is_file():
            return _verified(listing, candidate)
    if not download or listing.hub is None:
        raise WeightsError(
            f"the weights {name!r} ({listing.file}) are not on this machine; reinstall shopcue, give a path"
            + (", or allow the download" if listing.hub else "")
        )
    return _verified(listing, _download(listing, fetch or _fetch_https))


def local_candidates(listing: Listing, package: Path) -> Iterable[Path]:
    """Yield where the file may lie on this machine, best first: package, carrier package, hub cache."""
    yield package / listing.file
    if listing.carrier is not None:
        module, inside = listing.carrier
        spec = importlib.util.find_spec(module)
        for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
            yield Path(folder) / inside
    if listing.hub is not None:
        repository, revision, inside = listing.hub
        cached = _cached(repository)
        reference = cached / "refs" / revision
        commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
        if _NAME.fullmatch(commit):
            yield cached / "snapshots" / commit / inside


def hub_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder in which Hugging Face's own tools keep what they fetched."""
    if "HF_HUB_CACHE" in environment:
        return Path(environment["HF_HUB_CACHE"])
    home = Path(environment.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    return home / "hub"


def checked_format(path: Path) -> Path:
    """Return `path` if it is a file of a format that holds data alone; raises WeightsError otherwise."""
    if not path.is_file():
        raise WeightsError(f"no weights at {path}; expected a file, check the path")
    if path.suffix not in SAFE_SUFFIXES:
        raise WeightsError(f"{path} is not {' or '.join(SAFE_SUFFIXES)}; other formats can run code, convert it first")
    return path


def file_sha256(path: Path) -> str:
    """Return the sha256 of the file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cached(repository: str) -> Path:
    return hub_cache() / f"models--{repository.replace('/', '--')}"


def _listing(name: str, entry: Mapping[str, object]) -> Listing:
    sha256, file, carrier, hub = str(entry["sha256"]), str(entry["file"]), entry.get("carrier"), entry.get("hub")
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError(f"sha256 of {name!r}")
    if not _NAME.fullmatch(file) or Path(file).suffix not in SAFE_SUFFIXES:
        raise ValueError(f"file name {file!r} of {name!r}")
    if hub is not None and not (isinstance(hub, list) and len(hub) == 3 and _is_hub_address(*map(str, hub))):
        raise ValueError(f"hub of {name!r}")
    if carrier is not None and not (isinstance(carrier, list) and len(carrier) == 2):
        raise ValueError(f"carrier of {name!r}")
    return Listing(
        name,
        file,
        sha256,
        (str(carrier[0]), str(carrier[1])) if carrier else None,
        (str(hub[0]), str(hub[1]), str(hub[2])) if hub else None,
    )


def _is_hub_address(repository: str, revision: str, inside: str) -> bool:
    """Say whether an address can be trusted to stay on the hub and inside the cache: plain names, no `..`."""
    steps = [_NAME.fullmatch(step) for step in inside.split("/")]
    return bool(_REPOSITORY.fullmatch(repository) and _NAME.fullmatch(revision) and all(steps))


def _verified(listing: Listing, path: Path) -> Weights:
    found = file_sha256(checked_format(path))
    if found != listing.sha256:
        raise WeightsError(
            f"{path} has sha256 {found[:12]}..., expected {listing.sha256[:12]}... for {listing.name!r}; "
            "it is damaged or of another version: remove it and reinstall"
        )
    return Weights(listing.name, path, found)


def _download(listing: Listing, fetch: Fetch) -> Path:
    """Fetch the file into the hub cache under a temporary name; the name is given once the hash is right."""
    assert listing.hub is not None
    repository, revision, inside = listing.hub
    target = _cached(repository) / "snapshots" / revision / inside
    target.parent.mkdir(parents=True, exist_ok=True)
    url = f"{HUB}/{repository}/resolve/{revision}/{inside}"
    digest, size = hashlib.sha256(), 0
    with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".part", delete=False) as file:
        draft = Path(file.name)
        try:
            for chunk in fetch(url):
                size += len(chunk)
                if size > MOST_BYTES:
                    raise WeightsError(f"{url} is larger than {MOST_BYTES >> 30} GiB; give a path instead")
                digest.update(chunk)
                file.write(chunk)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    if digest.hexdigest() != listing.sha256:
        draft.unlink()
        raise WeightsError(f"{url} came with sha256 {digest.hexdigest()[:12]}..., expected {listing.sha256[:12]}...")
    draft.replace(target)
    return target


def _fetch_https(url: str) -> Iterable[bytes]:
    with urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=10, read=60), retries=urllib3.Retry(3, redirect=5)
    ) as pool:
        try:
            answer = pool.request("GET", url, preload_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise WeightsError(f"{url} cannot be reached ({type(error).__name__}); give a path instead") from error
        if answer.status != 200:
            raise WeightsError(f"{url} answered {answer.status}, expected 200; give a path instead")
        yield from answer.stream(_CHUNK_BYTES)
