"""Check one split of a tree: its names and sizes, and, deep, the digest and the pixels of every image."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc

from ilsvrc.check.against import Other, compare
from ilsvrc.check.counts import count_tree
from ilsvrc.check.loaders import folder_labels
from ilsvrc.check.overview import overview_of
from ilsvrc.check.reference import Reference, manifest_reference, reference_issues
from ilsvrc.check.report import FOLDERS, Compared, Findings, NotCompared, PartReport
from ilsvrc.check.solution import compare_solution
from ilsvrc.check.sweep import Sweeper, Swept, sweep
from ilsvrc.events import Advanced, Finished, Listener, Started, silent
from ilsvrc.files import printable
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.objects import ObjectReader
from ilsvrc.readers.tree import Contents, TreeReader, scanned
from ilsvrc.run.engine import Engine
from ilsvrc.stores.path import Location, StorePath
from ilsvrc.tree import objects
from ilsvrc.tree.counts import Expectation, counts_of
from ilsvrc.tree.recognise import UNKNOWN, duplicate_issues, folder_order, label_issues, layout_of
from ilsvrc.tree.scan import Tree, survey


def check_tree(  # noqa: PLR0913  -- the choices of `check`, each with its name
    folder: Location,
    split: str,
    *,
    against: Other | None = None,
    engine: Engine | None = None,
    overview: bool = False,
    listener: Listener = silent,
) -> PartReport:
    """Return what lies in a split's folder and what is wrong with it.

    Images are compared with those of `against`, else with the manifest beside the folder; where there is neither,
    image counts are compared with the facts of ILSVRC 2012. Digests of the manifest are compared in any case.

    Parameters
    ----------
    folder
        The split's folder.
    split
        train, val or test.
    against
        The same split of another data set.
    engine
        Decodes every image; None for a check that is not deep.
    overview
        Whether the report has the figures of the split.
    listener
        Gets progress.
    """
    tree = _surveyed(folder, split, listener)
    recorded = manifest_reference(folder)
    manifest = recorded if isinstance(recorded, Reference) else None
    layout = (manifest and split != "test" and manifest.layout) or layout_of(tree)
    reader = _reader(tree, _contents(tree, manifest))
    sweeper, deep = Sweeper(engine, listener, overview) if engine else None, engine is not None
    swept = sweep(reader, sweeper, stage=f"decode {split}", hashed=against is not None) if sweeper else None
    expected = compare(reader, against, swept, sweeper) if against is not None else _expected(tree, manifest)
    findings = [expected, _comparisons(tree, layout, manifest, deep=deep), compare_solution(reader)]
    issues = [recorded] if isinstance(recorded, Issue) else []  # first, since it explains what follows
    issues += [*tree.strays, *label_issues(tree, layout), *duplicate_issues(tree)]
    issues += [*(issue for one in findings for issue in one.issues), *_found_in(swept, manifest)]
    order, warnings = _order(tree)
    warnings += (manifest.missed,) if manifest and manifest.missed and against is None else ()
    wanted = expected.expected or (Expectation(counts_of(manifest.labels), manifest.origin) if manifest else None)
    made = None
    if overview:
        records, loaders = swept.records if swept else None, folder_labels(tree)
        made = overview_of(reader, issues, records=records, expected=wanted, loaders=loaders, listener=listener)
    return PartReport(
        where=printable(str(folder)),
        split=split,
        form=FOLDERS,
        layout=layout,
        images=tree.table.num_rows,
        classes=len(set(tree.labels[tree.labels >= 0].tolist())),
        bytes=int(pc.sum(tree.table.column("size")).as_py() or 0),
        issues=tuple(issues),
        compared=tuple(made for one in findings for made in one.compared),
        not_compared=tuple(lack for one in findings for lack in one.not_compared),
        comparison=expected.comparison,
        wanted=expected.wanted,
        unproved=manifest is None,
        order=order,
        warnings=warnings,
        hint=_next_step(tree) if manifest is None else "" if against is not None else _repair(tree, manifest, issues),
        overview=made,
    )


def _reader(tree: Tree, contents: Contents) -> TreeReader:
    """Return what reads the images of a tree, here or in a store."""
    if isinstance(tree.folder, StorePath):
        return ObjectReader(tree.folder, tree.split, contents)
    return TreeReader(tree.folder, tree.split, contents)


def _surveyed(folder: Location, split: str, listener: Listener) -> Tree:
    stage = f"look at {split}"
    listener(Started(stage))
    tree = survey(folder, split) if isinstance(folder, Path) else objects.survey(folder, split)
    listener(Advanced(stage, images=tree.table.num_rows))
    listener(Finished(stage))
    return tree


def _expected(tree: Tree, manifest: Reference | None) -> Findings:
    """Compare with what should be there: by the manifest, or by the facts where there is none."""
    if manifest is None:
        reason = "no manifest lists them; name another data set with --against"
        counted = count_tree(tree)
        return replace(counted, not_compared=(NotCompared("names", reason), NotCompared("sizes", reason)))
    compared = (Compared("names", manifest.origin), Compared("sizes", manifest.origin))
    return Findings(tuple(reference_issues(tree, manifest)), compared)


def _comparisons(tree: Tree, layout: str, manifest: Reference | None, *, deep: bool) -> Findings:
    """Return what such a check compares of folders and bytes, and what it does not."""
    made: list[Compared] = []
    lacking: list[NotCompared] = []
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
    return Findings((), tuple(made), tuple(lacking))


def _order(tree: Tree) -> tuple[str, tuple[str, ...]]:
    """Return the labels that ImageFolder and its like give, in words, and a warning if they are wrong."""
    order = folder_order(tree)
    if not order.folders:
        return "", ()
    if not order.wrong:
        all_of_them = f"all {order.folders} folders their" if order.folders > 1 else "the one folder its"
        return f"ImageFolder gives {all_of_them} right label", ()
    told = (
        f"ImageFolder, which numbers the folders it finds, gives {order.wrong} of {order.folders} folders "
        f"another label than ILSVRC 2012: {order.example}"
    )
    return told, (told,)


def _found_in(swept: Swept | None, manifest: Reference | None) -> list[Issue]:
    """Return what a deep check found in images, in order of their paths."""
    issues = sorted(swept.issues, key=lambda issue: issue.key) if swept else []
    return _as_published(issues, manifest) if manifest else issues


def _next_step(tree: Tree) -> str:
    """Name the command for a tree whose images are not in class folders, or not all; nothing if they are."""
    heaped = int((tree.parents < 0).sum()) if tree.split != "test" else 0
    if not heaped:
        return ""
    root = tree.folder.parent
    source, target = (shlex.quote(printable(str(path))) for path in (root, root.with_name(f"{root.name}-prepared")))
    command = f"`ilsvrc prepare {source} {target} --split {tree.split}`"
    return f"{heaped:,} images are in no class folder: {command} writes them into class folders"


def _repair(tree: Tree, manifest: Reference, issues: list[Issue]) -> str:
    """Name the command that writes images again which the manifest lists; nothing if none is missing or changed."""
    if not any(issue.code in (Code.MISSING_IMAGE, Code.CHANGED_IMAGE) for issue in issues):
        return ""
    root = shlex.quote(printable(str(tree.folder.parent)))
    layout = f" --layout {shlex.quote(manifest.layout)}" if manifest.layout not in (None, "wnid") else ""
    command = f"`ilsvrc prepare SRC {root} --split {tree.split}{layout} --repair`"
    return f"{command}, with the source and the options of the first run, writes missing and changed images again"


def _contents(tree: Tree, manifest: Reference | None) -> Contents:
    """Return what lies in a tree for its reader, with the digests that the manifest lists."""
    in_store = isinstance(tree.folder, StorePath)
    contents = scanned(tree, {str(tree.folder): objects.state_of(tree)} if in_store else None)
    if manifest is None:
        return contents
    at = pc.index_in(contents.table.column("path"), value_set=manifest.table.column("path"))
    digests = manifest.table.column("xxh3_128").take(at)
    return replace(contents, table=contents.table.append_column("xxh3_128", digests))


def _as_published(issues: list[Issue], manifest: Reference) -> list[Issue]:
    """Mark the faults of images whose bytes are those that the manifest lists: they were so in the source."""
    listed = set(manifest.table.column("path").to_pylist()) if issues else set()
    other = {issue.key for issue in issues if issue.code in (Code.CHANGED_IMAGE, Code.UNREADABLE)}
    return [
        replace(issue, detail=f"{issue.detail}; it was so in the source", known=manifest.official)
        if issue.is_damage and issue.key in listed and issue.key not in other
        else issue
        for issue in issues
    ]
