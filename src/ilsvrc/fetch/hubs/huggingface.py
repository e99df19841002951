"""Hugging Face: the Parquet files of the dataset ILSVRC/imagenet-1k, each compared with the hub's SHA-256."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ilsvrc.archive.expected import SUMS_FILES, Expected
from ilsvrc.errors import DataError, MissingExtraError, UsageError
from ilsvrc.events import Listener
from ilsvrc.facts import Digest
from ilsvrc.fetch.hubs.failures import Hub
from ilsvrc.fetch.hubs.files import Address, HubFile, fetch_files
from ilsvrc.fetch.request import FetchReport, Limits
from ilsvrc.fetch.urls import origin
from ilsvrc.files import read_own, write_text

if TYPE_CHECKING:
    from huggingface_hub.hf_api import DatasetInfo, RepoSibling

REPOSITORY = "ILSVRC/imagenet-1k"
PAGE = f"https://huggingface.co/datasets/{REPOSITORY}"
SPLITS = {"train": "train", "val": "validation", "test": "test"}
"""The hub's name of each split."""

DEFAULT = ("train", "val")
AGAINST = "huggingface"

HUB = Hub(
    "Hugging Face",
    f"accept the terms at {PAGE} and log in with `hf auth login`, or set HF_TOKEN",
    f"accept the terms at {PAGE} with this account; a fine-grained token needs access to gated repositories",
    "check --revision, and HF_ENDPOINT if it is set",
)

_FILE = re.compile(r"data/(train|validation|test)-(\d{5})-of-(\d{5})\.parquet")
_TIMEOUT = 30.0  # seconds for an answer of the hub


def fetch_dataset(
    to: Path, splits: Collection[str], revision: str, limits: Limits, listener: Listener
) -> FetchReport:
    """Fetch the Parquet files of splits into `to`/data, and list their digests in `to`/data/SHA256SUMS."""
    unknown = [split for split in splits if split not in SPLITS]
    if unknown:
        raise UsageError(f"no split is called {unknown[0]}", hint=f"one of {', '.join(SPLITS)}")
    files = dataset_files([SPLITS[split] for split in dict.fromkeys(splits or DEFAULT)], revision)
    folder = to / "data"
    report = fetch_files(folder, files, limits, listener, stage=REPOSITORY)
    _list_digests(folder / SUMS_FILES["sha256"], {f.name: f.expected.digest.hex for f in files if f.expected})
    return report


def dataset_files(splits: Iterable[str], revision: str) -> list[HubFile]:
    """Return the files of splits (by the hub's names) in a revision, as the hub lists them at this moment."""
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise MissingExtraError("huggingface_hub", "hf") from None
    with HUB.errors():
        api = HfApi(endpoint=_endpoint())
        info = api.dataset_info(REPOSITORY, revision=revision, files_metadata=True, timeout=_TIMEOUT)
    return [file for split in splits for file in _split_files(info, split, revision)]


def _split_files(info: DatasetInfo, split: str, revision: str) -> list[HubFile]:
    """Return the files of one split in their order; DataError unless they are all there, with their digests."""
    matches = {m[0]: m for s in info.siblings or () if (m := _FILE.fullmatch(s.rfilename)) and m[1] == split}
    names = sorted(matches)
    wanted = [f"data/{split}-{n:05}-of-{len(names):05}.parquet" for n in range(len(names))]
    if not names or names != wanted:
        text = f"{REPOSITORY} at {revision}: {len(names)} Parquet files of {split}, not a complete set"
        raise DataError(text, hint="choose another --revision; main has all of them")
    siblings = {s.rfilename: s for s in info.siblings or ()}
    return [_file(siblings[name], str(info.sha)) for name in names]


def _file(sibling: RepoSibling, commit: str) -> HubFile:
    path, lfs = sibling.rfilename, sibling.lfs
    if lfs is None or not re.fullmatch(r"[0-9a-f]{64}", lfs.sha256):
        raise DataError(f"{REPOSITORY}: the hub states no SHA-256 of {path}", hint="choose another --revision")
    expected = Expected(Digest("sha256", lfs.sha256), AGAINST)
    return HubFile(path.rpartition("/")[2], lfs.size, expected, lambda: _address(path, commit))


def _address(path: str, commit: str) -> Address:
    """Ask the hub for the address of a file: mostly a signed one, on another server, that needs no token."""
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url

    url = hf_hub_url(REPOSITORY, path, repo_type="dataset", revision=commit, endpoint=_endpoint())
    token = get_token()
    with HUB.errors():
        found = get_hf_file_metadata(url, token=token or False, timeout=_TIMEOUT, endpoint=_endpoint())
    shows_token = token and origin(found.location) == origin(url)
    return Address(found.location, (f"Authorization: Bearer {token}",) if shows_token else ())


def _endpoint() -> str | None:
    """Return the address of a mirror from HF_ENDPOINT, None for the hub itself."""
    return (os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None


def _list_digests(path: Path, digests: dict[str, str]) -> None:
    """Write the digests as `sha256sum` does; lines of other files, such as another split's, stay."""
    try:
        lines = read_own(path).splitlines()
    except FileNotFoundError:
        lines = []
    others = [line for line in lines if line and line[66:] not in digests]
    listed = sorted([*others, *(f"{hex_}  {name}" for name, hex_ in digests.items())], key=lambda line: line[66:])
    if listed != lines:
        write_text(path, "".join(f"{line}\n" for line in listed))
