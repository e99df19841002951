"""The names of everything that ilsvrc keeps below a tree's `.ilsvrc` folder, each written once."""

from __future__ import annotations

from pathlib import Path

from ilsvrc.files import OWN_FOLDER
from ilsvrc.stores.path import AnyPath


def own(root: AnyPath) -> AnyPath:
    """Return the `.ilsvrc` folder of a tree, which holds all the others."""
    return root / OWN_FOLDER


def manifest(root: AnyPath, split: str) -> AnyPath:
    """Return the manifest of a split: path, label, size and digest of every image."""
    return root / OWN_FOLDER / f"{split}.arrow"


def staging(root: AnyPath) -> AnyPath:
    """Return the folder that holds unfinished splits."""
    return own(root) / "staging"


def journal(root: AnyPath) -> AnyPath:
    """Return the journal: which units of which plan are durably done."""
    return own(root) / "journal.jsonl"


def report(root: AnyPath) -> AnyPath:
    """Return the report of the last `prepare`."""
    return own(root) / "report.json"


def lock(root: AnyPath) -> AnyPath:
    """Return the lock file, which every run that changes the tree holds."""
    return own(root) / "lock"


def claim(root: Path) -> Path:
    """Return the claim of the run that changes the tree; other machines and its workers look at it."""
    return own(root) / "claim"


def intent(root: AnyPath) -> AnyPath:
    """Return the list of the folders that `relabel` is renaming, there from the first rename to the last."""
    return own(root) / "relabel.json"
