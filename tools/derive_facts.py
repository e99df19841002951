#!/usr/bin/env python3
"""Derive the packaged tables from the genuine devkit and the verified facts beside it.

Usage: derive_facts.py DEVKIT [TARGET]

DEVKIT is the genuine ILSVRC2012_devkit_t12.tar.gz (its md5 is checked); the other facts are read from the same
folder. TARGET defaults to src/ilsvrc/facts/data. Synsets, hierarchy and validation labels come from the devkit
alone; sizes, digests, torrents, anomalies and the blacklist are carried over as they stand.
"""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

DEVKIT_MD5 = "fa75699e90414af021442c21a62c3abf"
VAL_LABELS_SHA256 = "f5350687a5a78da7e645040d352767bc06c1c99d9dfb34f1623b2d1a1d046b76"
CARRIED_OVER = ("archives.tsv", "anomalies.tsv", "torrents.tsv", "clsloc_val_blacklist.txt")
TARGET = Path(__file__).parents[1] / "src/ilsvrc/facts/data"

Table = list[tuple[object, ...]]


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    devkit = Path(arguments[0])
    target = Path(arguments[1]) if len(arguments) > 1 else TARGET
    if hashlib.md5(devkit.read_bytes()).hexdigest() != DEVKIT_MD5:
        print(f"{devkit} is not the genuine devkit: its md5 should be {DEVKIT_MD5}", file=sys.stderr)
        return 1
    target.mkdir(parents=True, exist_ok=True)
    meta, truth = read_devkit(devkit)
    synsets = synset_table(meta)
    labels = val_labels(synsets, truth)
    write_table(target / "synsets.tsv", ("index", "wnid", "devkit_id", "train_images", "name", "words"), synsets)
    write_table(target / "ancestors.tsv", ("wnid", "devkit_id", "words"), ancestor_table(meta))
    write_table(target / "edges.tsv", ("parent_wnid", "child_wnid"), edge_table(meta))
    (target / "val_labels.u16le").write_bytes(labels)
    for name in CARRIED_OVER:
        (target / name).write_bytes((devkit.parent / name).read_bytes())
    return 0


def read_devkit(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the 1,860 synsets of meta.mat in devkit order, and the 50,000 devkit ids of the ground truth."""
    with tarfile.open(path) as archive:
        files = {m.name.rpartition("/")[2]: m for m in archive.getmembers() if m.isfile()}
        meta = archive.extractfile(files["meta.mat"])
        truth = archive.extractfile(files["ILSVRC2012_validation_ground_truth.txt"])
        assert meta is not None
        assert truth is not None
        synsets = scipy.io.loadmat(io.BytesIO(meta.read()), squeeze_me=True)["synsets"]
        ids = [int(line) for line in truth.read().split()]
    names = synsets.dtype.names
    return [dict(zip(names, row, strict=True)) for row in synsets], ids


def synset_table(meta: list[dict[str, Any]]) -> Table:
    """One row a class in the order of sorted wnids, which is the index that everybody uses."""
    leaves = sorted((s for s in meta if s["num_children"] == 0), key=lambda s: str(s["WNID"]))
    names = unique_names(meta, leaves)
    return [
        (index, s["WNID"], s["ILSVRC2012_ID"], s["num_train_images"], names[s["WNID"]], s["words"])
        for index, s in enumerate(leaves)
    ]


def unique_names(meta: list[dict[str, Any]], leaves: list[dict[str, Any]]) -> dict[str, str]:
    """Name each class by its first word; where two share it, add the second word, else the parent's first."""
    parents = {int(c): str(s["words"]) for s in meta for c in np.atleast_1d(s["children"])}
    heads = [first_word(s["words"]).casefold() for s in leaves]
    names = {}
    for s, head in zip(leaves, heads, strict=True):
        words = str(s["words"]).split(", ")
        name = words[0]
        if heads.count(head) > 1:
            name += f" ({words[1] if len(words) > 1 else first_word(parents[s['ILSVRC2012_ID']])})"
        names[str(s["WNID"])] = name
    assert len({n.casefold() for n in names.values()}) == len(leaves)
    return names


def first_word(words: object) -> str:
    return str(words).split(", ")[0]


def ancestor_table(meta: list[dict[str, Any]]) -> Table:
    return sorted((s["WNID"], s["ILSVRC2012_ID"], s["words"]) for s in meta if s["num_children"] > 0)


def edge_table(meta: list[dict[str, Any]]) -> Table:
    wnids = {int(s["ILSVRC2012_ID"]): str(s["WNID"]) for s in meta}
    return sorted((s["WNID"], wnids[int(c)]) for s in meta for c in np.atleast_1d(s["children"]))


def val_labels(synsets: Table, truth: list[int]) -> bytes:
    """Return the label of validation image n at position n - 1, as little-endian uint16 indices."""
    index_of = {row[2]: row[0] for row in synsets}
    data = np.array([index_of[i] for i in truth], "<u2").tobytes()
    assert hashlib.sha256(data).hexdigest() == VAL_LABELS_SHA256
    return data


def write_table(path: Path, header: tuple[str, ...], rows: Table) -> None:
    lines = ["\t".join(header), *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
