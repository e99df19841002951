#!/usr/bin/env python3
"""Derive the packaged class lists from the repositories of those who chose the classes.

Usage: derive_class_lists.py CLONES [TARGET]

CLONES is a folder of git clones, each named as its repository; TARGET defaults to src/ilsvrc/facts/data, whose
class_list_sources.tsv says which file of which repository, at which commit, a list is read from. Nothing of a
repository is run: Python files are parsed and only their literals are read.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

TARGET = Path(__file__).parents[1] / "src/ilsvrc/facts/data"
SOURCES = "class_list_sources.tsv"
WNID = re.compile(r"n\d{8}")


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    clones = Path(arguments[0])
    target = Path(arguments[1]) if len(arguments) > 1 else TARGET
    known = [row["wnid"] for row in read_table("synsets.tsv")]
    rows = []
    for source in read_table(SOURCES):
        listed = READERS[source["list"]](at_commit(clones, source), known)
        foreign = set(listed) - set(known)
        if foreign or len(set(listed)) != int(source["classes"]):
            print(f"{source['list']}: {len(set(listed))} classes, {len(foreign)} not of ILSVRC 2012", file=sys.stderr)
            return 1
        rows += [f"{source['list']}\t{wnid}" for wnid in sorted(set(listed))]
    (target / "class_lists.tsv").write_text("\n".join(["list\twnid", *rows]) + "\n", encoding="utf-8")
    return 0


def read_table(name: str) -> list[dict[str, str]]:
    header, *lines = (TARGET / name).read_text(encoding="utf-8").splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


def at_commit(clones: Path, source: dict[str, str]) -> str:
    """Return a file of a clone as it was at the commit that the list's source names."""
    clone = clones / source["repository"].rpartition("/")[2]
    call = ["git", "-C", str(clone), "show", f"{source['commit']}:{source['path']}"]
    return subprocess.run(call, check=True, capture_output=True, text=True).stdout


def folders(text: str, _: list[str]) -> list[str]:
    """Read imagenette's table of noisy labels: the folder of an image names its class."""
    return [line.split("/")[1] for line in text.splitlines()[1:]]


def lines(text: str, _: list[str]) -> list[str]:
    return WNID.findall(text)


def literal(text: str, name: str) -> object:
    """Return the literal that a module assigns to a name, without running the module."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return ast.literal_eval(node.value)
    raise KeyError(name)


def imagenet_a(text: str, known: list[str]) -> list[str]:
    """Read ImageNet-A's table from the index among 1000 classes to the index among its 200, -1 for none."""
    table = literal(text, "thousand_k_to_200")
    assert isinstance(table, dict)
    return [known[index] for index, place in table.items() if place >= 0]


def imagenet_r(text: str, _: list[str]) -> list[str]:
    wnids = literal(text, "imagenet_r_wnids")
    assert isinstance(wnids, set)
    return sorted(wnids)


READERS: dict[str, Callable[[str, list[str]], list[str]]] = {
    "imagenette": folders,
    "imagewoof": folders,
    "imagenet-100": lines,
    "imagenet-a": imagenet_a,
    "imagenet-r": imagenet_r,
    "tinyimagenet": lines,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
