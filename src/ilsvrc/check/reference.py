"""What a tree should hold by its manifest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc.archive.index import numbers, one_chunk
from ilsvrc.check.counts import missed
from ilsvrc.errors import MachineError
from ilsvrc.files import OWN_FOLDER, printable
from ilsvrc.issues import Code, Issue
from ilsvrc.stores.path import Location
from ilsvrc.tree import paths
from ilsvrc.tree.manifest import layout_in, metadata_of, read_manifest
from ilsvrc.tree.scan import Tree


@dataclass(frozen=True, slots=True)
class Reference:
    """The images that a split's folder should hold.

    table : Arrow table with `path` (below the split's folder), `label`, `size` and `xxh3_128`
    origin : who says so, for messages
    layout : name or template of the layout that the tree was written in, or None if that is not known
    official : its images come from an archive that was proved to be the official one
    missed : how many images it has of those published, in words; empty if all, or if its source was proved
    """

    table: pa.Table
    origin: str
    layout: str | None = None
    official: bool = False
    missed: str = ""

    @property
    def labels(self) -> npt.NDArray[np.int16]:
        """The label of every image, shape (N,), int16; -1 in the test split."""
        return numbers(one_chunk(self.table.column("label")))


def manifest_reference(folder: Location) -> Reference | Issue | None:
    """Return what the manifest beside a split's folder says, None without one, an issue if it can't be used."""
    path = paths.manifest(folder.parent, folder.name)
    try:
        table = read_manifest(path)
        below = _below(table.column("path"), folder.name)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, MachineError) as error:
        detail = f"the manifest can't be used, so nothing was compared with it: {printable(str(error))}"
        return Issue(f"{OWN_FOLDER}/{path.name}", Code.UNREADABLE, detail)
    columns = {
        "path": below,
        "label": table.column("label"),
        "size": table.column("size"),
        "xxh3_128": table.column("xxh3_128"),
    }
    official = metadata_of(table).get("against") == "official"
    return Reference(pa.table(columns), "the manifest", layout_in(table), official, missed(table, folder.name))


def reference_issues(tree: Tree, reference: Reference) -> list[Issue]:
    """Return an issue for every image that is missing, surplus, or of another size than the reference says."""
    found = tree.table.column("path")
    wanted = reference.table.column("path")
    at = pc.index_in(found, value_set=wanted)
    listed = np.flatnonzero(~at.is_null().to_numpy())
    rows = numbers(one_chunk(at.drop_null()))
    missing = np.setdiff1d(np.arange(len(wanted)), rows)
    issues = [Issue(wanted[i].as_py(), Code.MISSING_IMAGE, f"it is in {reference.origin}") for i in missing.tolist()]
    for i in np.flatnonzero(at.is_null().to_numpy()).tolist():
        issues.append(Issue(found[i].as_py(), Code.SURPLUS_IMAGE, f"it is not in {reference.origin}"))
    sizes = numbers(one_chunk(tree.table.column("size")))[listed]
    should = numbers(one_chunk(reference.table.column("size")))[rows]
    for i in np.flatnonzero(sizes != should).tolist():
        detail = f"{sizes[i]:,} bytes of {should[i]:,}, by {reference.origin}"
        issues.append(Issue(found[int(listed[i])].as_py(), Code.CHANGED_IMAGE, detail))
    return issues


def _below(column: pa.ChunkedArray, split: str) -> pa.ChunkedArray:
    """Return paths below the tree's folder as paths below the split's.

    Raises
    ------
    ValueError
        If one of them is of another split.
    """
    if not pc.all(pc.starts_with(column, f"{split}/")).as_py():
        raise ValueError(f"it lists images that are not below {split}/")
    return pc.utf8_slice_codeunits(column, len(split) + 1)
