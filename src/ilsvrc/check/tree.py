"""Check a tree by names and sizes: what is there, and what should be."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc

from ilsvrc.tree.counts import Expectation, count_issues, counts_of, official_counts
from ilsvrc.tree.recognise import duplicate_issues, folder_order, label_issues, layout_of
from ilsvrc.tree.scan import Tree, survey
from ilsvrc.events import Advanced, Finished, Listener, Started
from ilsvrc.issues import Issue
from ilsvrc.check.report import PartReport
from ilsvrc.pipeline.reference import Reference, reference_issues


def check_split(folder: Path, split: str, reference: Reference | None, listener: Listener) -> tuple[Tree, PartReport]:
    """Return what lies in a split's folder and what is wrong with it, as far as names and sizes tell."""
    listener(Started(f"look at {split}"))
    tree = survey(folder, split)
    listener(Advanced(f"look at {split}", images=tree.table.num_rows))
    listener(Finished(f"look at {split}"))
    layout = reference.layout if reference and reference.layout else layout_of(tree)
    issues = [*tree.strays, *label_issues(tree, layout), *duplicate_issues(tree), *_absent(tree, reference)]
    report = PartReport(
        where=str(folder),
        split=split,
        layout=layout,
        images=tree.table.num_rows,
        classes=len(set(tree.labels[tree.labels >= 0].tolist())),
        bytes=int(pc.sum(tree.table.column("size")).as_py() or 0),
        against=reference.origin if reference else "the facts of ILSVRC 2012",
        order=order_in_words(tree),
        digest=None,
        issues=tuple(issues),
    )
    return tree, report


def _absent(tree: Tree, reference: Reference | None) -> list[Issue]:
    """Compare with what should be there: the reference, or the facts where there is none."""
    if reference:
        return reference_issues(tree, reference)
    if tree.split == "test":
        return []
    return count_issues(counts_of(tree.labels), Expectation(official_counts(tree.split), "the official archive"))


def order_in_words(tree: Tree) -> str:
    """Say what ImageFolder and its like would make of a tree; empty if it has no class folders."""
    order = folder_order(tree)
    if not order.folders:
        return ""
    if order.wrong:
        return f"ImageFolder gives {order.wrong} of {order.folders} folders a wrong label: {order.example}"
    return f"ImageFolder gives all {order.folders} folders their right label"
