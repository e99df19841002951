"""Compare image counts: with the devkit beside the images, or with the facts of ILSVRC 2012."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from ilsvrc.archive.names import LAST_NUMBER
from ilsvrc.check.report import ARCHIVE, Compared, Findings, NotCompared
from ilsvrc.errors import ArchiveError, DamageError, DataError, MissingExtraError
from ilsvrc.files import printable
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.reader import Reader
from ilsvrc.tree.counts import NEEDS_SCIPY, Expectation, count_issues, counts_of, expectation, official_counts
from ilsvrc.tree.manifest import chosen_classes, metadata_of
from ilsvrc.tree.scan import Tree

_COUNTS = "image counts per class"
_COUNT = "image count"
_FACTS = "the facts of ILSVRC 2012"


def count_tree(tree: Tree) -> Findings:
    """Compare the images of each class of a tree with the facts; of test, which has no classes, all images."""
    return _test(tree.table.num_rows) if tree.split == "test" else _compared(tree, _by_facts(tree.split), _FACTS)


def count_packed(reader: Reader, *, compared: bool) -> Findings:
    """Compare the images of each class of a packed split with the devkit beside it, or with the facts.

    The facts do not speak of an archive that is not of the official size: it may be a miniature.

    Parameters
    ----------
    reader
        The split.
    compared
        Whether its images are compared with another data set: then the facts are not needed.
    """
    official = reader.form == ARCHIVE
    if reader.split == "test":
        reason = "no list says how many images the test split should have"
        return Findings(not_compared=(NotCompared(_COUNT, reason),)) if official else _test(len(reader))
    try:
        wanted = expectation(reader.path, _size(reader) if official else 0, reader.split, reader.labels)
    except MissingExtraError:
        return _not_made(f"the devkit beside the archive lists them, but {NEEDS_SCIPY}")
    except ArchiveError as error:  # of the devkit: the archive beside it may be sound
        return _not_made("the devkit beside the archive can't be read", issues_of(error))
    if wanted:
        return _compared(reader, wanted, wanted.origin)
    if official:
        classes = len(np.unique(reader.labels[reader.labels >= 0]))
        return _not_made(f"nothing says how many images its {classes:,} classes should have")
    if compared:
        return _not_made("images were compared one by one instead")
    return _compared(reader, _by_facts(reader.split), _FACTS)


def missed(manifest: pa.Table, split: str) -> str:
    """Say how many images a prepared split has of those published, where its source was not proved; empty if all.

    Parameters
    ----------
    manifest
        Tells labels, the classes that were asked for, and whether the source's digest was proved.
    split
        Train, val or test.
    """
    chosen = chosen_classes(manifest)
    counts = official_counts(split) if split != "test" else np.array([LAST_NUMBER["test"]])
    wanted = int(counts.sum() if chosen is None or split == "test" else counts[chosen].sum())
    if "digest" in metadata_of(manifest) or manifest.num_rows == wanted:
        return ""
    whose = "" if chosen is None else " of these classes"
    return f"{split} has {manifest.num_rows:,} of {wanted:,} images{whose}, by {_FACTS}: its source had no more"


def _by_facts(split: str) -> Expectation:
    return Expectation(official_counts(split), "the official archive")


def _size(reader: Reader) -> int:
    return sum(container.size for container in reader.containers())


def _compared(images: Reader | Tree, wanted: Expectation, origin: str) -> Findings:
    issues = count_issues(counts_of(images.labels), wanted)
    return Findings(tuple(issues), (Compared(_COUNTS, origin),), expected=wanted, wanted=int(wanted.counts.sum()))


def _not_made(reason: str, issues: list[Issue] | None = None) -> Findings:
    return Findings(tuple(issues or ()), not_compared=(NotCompared(_COUNTS, reason),))


def _test(images: int) -> Findings:
    """Compare the number of test images."""
    wanted = LAST_NUMBER["test"]
    code = Code.MISSING_IMAGE if images < wanted else Code.SURPLUS_IMAGE
    issue = Issue("test", code, f"{images:,} images of {wanted:,}, by {_FACTS}")
    return Findings(() if images == wanted else (issue,), (Compared(_COUNT, _FACTS),), wanted=wanted)


def issues_of(error: DataError) -> list[Issue]:
    """Return an error about data as issues of it."""
    if isinstance(error, DamageError) and error.issues:
        return list(error.issues)
    if not isinstance(error, ArchiveError):
        return [Issue(printable(error.message), Code.UNREADABLE, error.hint)]
    key = "/".join(part for part in (Path(error.archive).name, error.member) if part)
    place = "" if error.offset is None else f" (byte {error.offset:,})"
    return [Issue(printable(key), error.code, f"{error.detail}{place}")]
