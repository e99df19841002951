"""Check a split in shards that `prepare` wrote, by the manifest: every shard, the files beside them, every image."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

import numpy as np

from ilsvrc.check.against import Other, compare
from ilsvrc.check.counts import issues_of, missed
from ilsvrc.check.overview import overview_of
from ilsvrc.check.report import Compared, Findings, NotCompared, PartReport
from ilsvrc.check.sweep import Sweeper, Swept, sweep
from ilsvrc.errors import DataError, IlsvrcError
from ilsvrc.events import Advanced, Finished, Listener, Started, silent
from ilsvrc.files import printable
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.reader import Found, Reader
from ilsvrc.readers.shards import DAMAGED_MANIFEST, manifest_of
from ilsvrc.sinks.formats.base import Format, Shard
from ilsvrc.sinks.formats.registry import format_of
from ilsvrc.sinks.shards import is_whole, lacking, shards_of, written_at
from ilsvrc.stores.path import Location, path_below
from ilsvrc.tree import paths
from ilsvrc.tree.counts import Expectation, counts_of
from ilsvrc.tree.manifest import metadata_of

_ORIGIN = "the manifest"
_AGAIN = "`ilsvrc prepare SRC {} --format {} --repair`, with the source and the options of the first run, mends it"


def check_shards(
    found: Found,
    *,
    against: Other | None = None,
    sweeper: Sweeper | None = None,
    overview: bool = False,
    listener: Listener = silent,
) -> PartReport:
    """Return what is wrong with the shards of a split.

    Names and sizes of shards are compared with the manifest, and the files beside them with what they should say;
    deep, every byte of every shard, and every image is decoded.

    Parameters
    ----------
    found
        The split.
    against
        The same split of another data set, which it is compared with image by image.
    sweeper
        Reads every image; None for a check that is not deep.
    overview
        Whether the report has the figures of the split.
    listener
        Gets progress.
    """
    reader: Reader | None = None
    swept: Swept | None = None
    try:
        manifest = manifest_of(found.path, found.split)
        form = format_of(metadata_of(manifest)["format"])
    except (OSError, ValueError, IlsvrcError) as error:
        return _unreadable(found, error)
    shards, labels = shards_of(manifest), manifest.column("label").to_numpy()
    issues = [*lacking(found.path, shards), *_closing(found.path, form)]
    findings, whole = [_compared(deep=sweeper is not None)], not issues
    if sweeper and whole:
        issues += _changed(found.path, shards, found.split, listener)
    if whole and (sweeper or against is not None or overview):
        try:
            reader = found.open(listener=listener)
            swept = (
                sweep(reader, sweeper, stage=f"decode {found.split}", hashed=against is not None) if sweeper else None
            )
            issues += swept.issues if swept else []
            findings += [compare(reader, against, swept, sweeper)] if against is not None else []
        except DataError as error:
            issues += issues_of(error)
    issues += [issue for one in findings for issue in one.issues]
    made = None
    if reader and overview:
        records, wanted = swept.records if swept else None, Expectation(counts_of(labels), _ORIGIN)
        made = overview_of(reader, issues, records=records, expected=wanted, listener=listener)
    return PartReport(
        where=printable(str(found.path)),
        split=found.split,
        form=found.form,
        images=manifest.num_rows,
        classes=len(np.unique(labels[labels >= 0])),
        bytes=sum(shard.size for shard in shards),
        issues=tuple(issues),
        compared=tuple(made for one in findings for made in one.compared),
        not_compared=tuple(lack for one in findings for lack in one.not_compared),
        comparison=findings[-1].comparison,
        wanted=manifest.num_rows,
        unproved=False,
        warnings=tuple(filter(None, [missed(manifest, found.split)])) if against is None else (),
        hint=_AGAIN.format(shlex.quote(printable(str(found.path))), form.name) if issues else "",
        overview=made,
    )


def _compared(*, deep: bool) -> Findings:
    made = [Compared("names of shards", _ORIGIN), Compared("sizes", _ORIGIN), Compared("files beside them", _ORIGIN)]
    if deep:
        return Findings(compared=(*made, Compared("digests of shards and images", _ORIGIN)))
    lack = (NotCompared("digests", "add --deep"), NotCompared("pixels", "add --deep"))
    return Findings(compared=tuple(made), not_compared=lack)


def _unreadable(found: Found, error: Exception) -> PartReport:
    """Return the report of shards whose manifest can't be read: nothing can be said of them without it."""
    name = path_below(paths.manifest(found.path, found.split), found.path)
    issue = Issue(str(name), Code.UNREADABLE, printable(str(error)))
    where = printable(str(found.path))
    return PartReport(where, found.split, found.form, issues=(issue,), hint=DAMAGED_MANIFEST)


def _closing(root: Location, form: Format) -> Iterator[Issue]:
    """Yield an issue for every file beside the shards that is not there, or says something else than it should."""
    for name, data in form.closing(written_at(root, form)).items():
        path = root / name
        if not path.is_file():
            yield Issue(name, Code.MISSING_FILE, "it makes the shards readable, and is not there")
        elif path.read_bytes() != data:
            yield Issue(name, Code.WRONG_FILE, "it is not what prepare wrote")


def _changed(root: Location, shards: Sequence[Shard], split: str, listener: Listener) -> Iterator[Issue]:
    """Yield an issue for every shard whose bytes are not those that were written."""
    stage = f"read {split}"
    listener(Started(stage, sum(shard.size for shard in shards)))
    for shard in shards:
        if not is_whole(root / shard.path, shard):
            yield Issue(shard.path, Code.CHANGED_SHARD, "its bytes are not those that were written")
        listener(Advanced(stage, shard.size, shard.images))
    listener(Finished(stage))
