"""The hierarchy against what the genuine devkit's meta.mat says."""

from __future__ import annotations

import hashlib

import pytest

from ilsvrc.facts import classes, hierarchy

GENUINE = "f8282e0c48b861ff4ed0417abf757f9bebf9733c4c3f1b722ea0c4771271161a"
"""sha256 of `ID WNID words num_children children` of all synsets, computed from the genuine meta.mat with scipy."""


def test_it_says_what_the_genuine_devkit_says() -> None:
    table = hierarchy()
    lines = []
    for wnid, number in sorted(table.devkit_ids.items(), key=lambda item: item[1]):
        children = [table.devkit_ids[child] for child in table.children[wnid]]
        lines.append(f"{number} {wnid} {table.words[wnid]} {len(children)} {','.join(map(str, children))}\n")
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == GENUINE


def test_parents_are_children_turned_around() -> None:
    table = hierarchy()
    down = {(parent, child) for parent, children in table.children.items() for child in children}
    up = {(parent, child) for child, parents in table.parents.items() for parent in parents}
    assert up == down
    assert len(up) == 1937


def test_every_class_is_an_entity_and_ancestors_come_nearest_first() -> None:
    table = hierarchy()
    for synset in classes():
        above = table.ancestors(synset.wnid)
        assert len(set(above)) == len(above)
        assert above[0] in table.parents[synset.wnid]
        assert "n00001740" in above
    with pytest.raises(KeyError):
        table.ancestors("n00000000")


def test_height_is_the_longest_way_down() -> None:
    table = hierarchy()
    assert table.height("n01440764") == 0
    assert table.height("n00001740") == 1 + max(map(table.height, table.children["n00001740"]))
    assert all(table.height(p) > table.height(c) for c in table.parents for p in table.parents[c])
