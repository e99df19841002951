"""What a tree should hold, by its manifest or by the archive it came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc.archive.index import Index
from ilsvrc.tree.manifest import layout_in, metadata_of, read_manifest
from ilsvrc.tree.scan import Tree
from ilsvrc.files import OWN_FOLDER
from ilsvrc.issues import Code, Issue


@dataclass(frozen=True, slots=True)
class Reference:
    """What a tree should hold: paths below the split's folder or names, sizes, and digests where they are known.

    table : Arrow table with `path`, `size` and, from a manifest, `xxh3_128`
    by_name : compare file names only, since the folders may be of any layout
    origin : who says so, for messages
    layout : name or template of the layout that it was written in, or None if that is not known
    official : its images come from an archive that was proved to be the official one
    """

    table: pa.Table
    by_name: bool
    origin: str
    layout: str | None = None
    official: bool = False


def manifest_reference(folder: Path) -> Reference | None:
    """Return what the manifest beside a split's folder says, if there is one that can be read."""
    try:
        table = read_manifest(_manifest(folder))
    except (OSError, ValueError, pa.ArrowException):
        return None
    below = pc.utf8_slice_codeunits(table.column("path"), len(folder.name) + 1)
    columns = {"path": below, "size": table.column("size"), "xxh3_128": table.column("xxh3_128")}
    official = metadata_of(table).get("against") == "official"
    return Reference(pa.table(columns), False, "its manifest", layout_in(table), official)


def damaged_manifest(folder: Path) -> list[Issue]:
    """Return an issue for a manifest beside a split's folder; to ask where `manifest_reference` could read none."""
    path = _manifest(folder)
    if not path.exists():
        return []
    return [Issue(f"{OWN_FOLDER}/{path.name}", Code.UNREADABLE, "the manifest is damaged: digests can't be compared")]


def _manifest(folder: Path) -> Path:
    return folder.parent / OWN_FOLDER / f"{folder.name}.arrow"


def index_reference(index: Index) -> Reference:
    """Return what an archive's index says of a tree that was unpacked from it."""
    table = pa.table({"path": index.table.column("name"), "size": index.table.column("size")})
    return Reference(table, by_name=True, origin=index.archive)


def reference_issues(tree: Tree, reference: Reference) -> list[Issue]:
    """Return an issue for every image that is missing, too many, or of another size than the reference says."""
    found = _keys(tree.table) if reference.by_name else tree.table.column("path")
    wanted = reference.table.column("path")
    at = pc.index_in(found, value_set=wanted)
    known = np.flatnonzero(~at.is_null().to_numpy())
    rows = at.drop_null().to_numpy()
    missing = np.setdiff1d(np.arange(len(wanted)), rows)
    issues = [Issue(wanted[i].as_py(), Code.MISSING_IMAGE, f"it is in {reference.origin}") for i in missing.tolist()]
    for i in np.flatnonzero(at.is_null().to_numpy()).tolist():
        issues.append(Issue(found[i].as_py(), Code.SURPLUS_IMAGE, f"it is not in {reference.origin}"))
    sizes, should = tree.table.column("size").to_numpy()[known], reference.table.column("size").to_numpy()[rows]
    for i in np.flatnonzero(sizes != should).tolist():
        detail = f"{sizes[i]:,} bytes of {should[i]:,}, by {reference.origin}"
        issues.append(Issue(found[int(known[i])].as_py(), Code.CHANGED_IMAGE, detail))
    return issues


def _keys(table: pa.Table) -> pa.ChunkedArray:
    """Return the file names of paths."""
    return pc.replace_substring_regex(table.column("path"), r"^.*/", "")
