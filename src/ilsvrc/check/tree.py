"""Check one split of a tree: its names and sizes, and, deep, the digest and the pixels of every image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc

from ilsvrc.check.reference import Reference, manifest_reference, reference_issues
from ilsvrc.check.report import Compared, NotCompared, PartReport
from ilsvrc.events import Advanced, Finished, Listener, Started, silent
from ilsvrc.files import printable
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.tree import Contents, TreeReader, scanned
from ilsvrc.run.engine import Engine
from ilsvrc.run.loop import Machinery, work
from ilsvrc.run.plan import Plan
from ilsvrc.run.proof import NoProof
from ilsvrc.sinks.null import NullSink
from ilsvrc.tree.counts import Expectation, count_issues, counts_of, official_counts
from ilsvrc.tree.recognise import UNKNOWN, duplicate_issues, folder_order, label_issues, layout_of
from ilsvrc.tree.scan import Tree, survey


def check_tree(
    folder: Path,
    split: str,
    *,
    against: Reference | None = None,
    engine: Engine | None = None,
    listener: Listener = silent,
) -> PartReport:
    """Return what lies in a split's folder and what is wrong with it.

    Names and sizes are compared with `against`, else with the manifest beside the folder; where there is neither,
    image counts are compared with the facts of ILSVRC 2012. Digests are compared with the manifest alone.

    Parameters
    ----------
    folder
        The split's folder.
    split
        train, val or test.
    against
        What an archive says that the tree should hold.
    engine
        Decodes every image; None for a check that is not deep.
    listener
        Gets progress.
    """
    tree = _surveyed(folder, split, listener)
    recorded = manifest_reference(folder)
    manifest = recorded if isinstance(recorded, Reference) else None
    reference = against or manifest
    layout = (manifest and split != "test" and manifest.layout) or layout_of(tree)
    issues = [recorded] if isinstance(recorded, Issue) else []  # first, since it explains what follows
    issues += [*tree.strays, *label_issues(tree, layout), *duplicate_issues(tree), *_absent(tree, reference)]
    issues += _decode(tree, manifest, engine, listener) if engine else []
    compared, not_compared = _comparisons(tree, layout, reference, manifest, deep=engine is not None)
    order, warnings = _order(tree)
    return PartReport(
        where=printable(str(folder)),
        split=split,
        layout=layout,
        images=tree.table.num_rows,
        classes=len(set(tree.labels[tree.labels >= 0].tolist())),
        bytes=int(pc.sum(tree.table.column("size")).as_py() or 0),
        issues=tuple(issues),
        compared=compared,
        not_compared=not_compared,
        order=order,
        warnings=warnings,
    )


def _surveyed(folder: Path, split: str, listener: Listener) -> Tree:
    stage = f"look at {split}"
    listener(Started(stage))
    tree = survey(folder, split)
    listener(Advanced(stage, images=tree.table.num_rows))
    listener(Finished(stage))
    return tree


def _absent(tree: Tree, reference: Reference | None) -> list[Issue]:
    """Compare with what should be there: by the reference, or by the facts where there is none."""
    if reference:
        return reference_issues(tree, reference)
    if tree.split == "test":
        return []
    return count_issues(counts_of(tree.labels), Expectation(official_counts(tree.split), "the official archive"))


def _comparisons(
    tree: Tree, layout: str, reference: Reference | None, manifest: Reference | None, *, deep: bool
) -> tuple[tuple[Compared, ...], tuple[NotCompared, ...]]:
    """Return what such a check compares, and what it does not."""
    made: list[Compared] = []
    lacking: list[NotCompared] = []
    if reference:
        made += [Compared("names", reference.origin), Compared("sizes", reference.origin)]
    else:
        reason = "no manifest lists them; name the archives with --against"
        lacking += [NotCompared("names", reason), NotCompared("sizes", reason)]
        if tree.split != "test":
            made.append(Compared("image counts per class", "the facts of ILSVRC 2012"))
    if tree.folders and layout != "flat" and tree.split != "test":
        made.append(Compared("folders", "the names of the images in them"))
    if layout == UNKNOWN and tree.split != "test":
        lacking.append(NotCompared("names of folders", "no known layout tells which classes they mean"))
    if manifest and deep:
        made.append(Compared("digests", manifest.origin))
    else:
        lacking.append(NotCompared("digests", "add --deep" if manifest else "no manifest lists them"))
    if not deep:
        lacking.append(NotCompared("pixels", "add --deep"))
    return tuple(made), tuple(lacking)


def _order(tree: Tree) -> tuple[str, tuple[str, ...]]:
    """Return the labels that ImageFolder and its like give, in words, and a warning if they are wrong."""
    order = folder_order(tree)
    if not order.folders:
        return "", ()
    if not order.wrong:
        return f"ImageFolder gives all {order.folders} folders their right label", ()
    told = (
        f"ImageFolder, which numbers the folders it finds, gives {order.wrong} of {order.folders} folders "
        f"another label than ILSVRC 2012: {order.example}"
    )
    return told, (told,)


def _decode(tree: Tree, manifest: Reference | None, engine: Engine, listener: Listener) -> list[Issue]:
    """Read and decode every image of a tree, and compare its digest where the manifest lists one."""
    plan = Plan(TreeReader(tree.folder, tree.split, _contents(tree, manifest)))
    machinery = Machinery(engine, None, NoProof(), listener, deep=True, stage=f"decode {tree.split}")
    receipts = work(plan, plan.units, NullSink(), machinery)
    issues = sorted((issue for receipt in receipts for issue in receipt.issues), key=lambda issue: issue.key)
    return _as_published(issues, manifest) if manifest else issues


def _contents(tree: Tree, manifest: Reference | None) -> Contents:
    """Return what lies in a tree for its reader, with the digests that the manifest lists."""
    contents = scanned(tree)
    if manifest is None:
        return contents
    at = pc.index_in(contents.table.column("path"), value_set=manifest.table.column("path"))
    digests = manifest.table.column("xxh3_128").take(at)
    return replace(contents, table=contents.table.append_column("xxh3_128", digests))


def _as_published(issues: list[Issue], manifest: Reference) -> list[Issue]:
    """Mark the faults of images whose bytes are those that the manifest lists: they were so in the archive."""
    listed = set(manifest.table.column("path").to_pylist()) if issues else set()
    other = {issue.key for issue in issues if issue.code in (Code.CHANGED_IMAGE, Code.UNREADABLE)}
    return [
        replace(issue, detail=f"{issue.detail}; it was so in the archive", known=manifest.official)
        if issue.is_damage and issue.key in listed and issue.key not in other
        else issue
        for issue in issues
    ]
