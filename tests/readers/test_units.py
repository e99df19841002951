"""Units tile the catalog, and samples are the archive's bytes."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc import facts
from ilsvrc.archive.build import build_index
from ilsvrc.archive.source import FileSource
from ilsvrc.readers import units as module
from ilsvrc.readers.units import Catalog, Wanted
from ilsvrc.tree.layout import Layout


def catalog_of(path: Path, labels: frozenset[int] | None = None) -> Catalog:
    return Catalog(build_index(FileSource(path)), Wanted(Layout.parse("wnid"), labels))


@pytest.mark.parametrize("name", [facts.TRAIN, facts.VAL])
def test_units_tile_the_catalog_in_archive_order(mini: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VAL_UNIT", 9_000)
    catalog = catalog_of(mini / name)
    units = catalog.units()
    assert len(units) > 3
    assert [u.start for u in units] == [0, *(u.stop for u in units[:-1])]
    assert units[-1].stop == catalog.images == sum(u.images for u in units)
    assert catalog.bytes == sum(u.bytes for u in units)
    ends = [max(ref.member.offset + ref.member.size for ref in catalog.refs(u.start, u.stop)) for u in units]
    assert [u.end for u in units] == ends == sorted(ends)
    assert len({u.id for u in units}) == len(units)


def test_train_units_are_classes(mini: Path) -> None:
    catalog = catalog_of(mini / facts.TRAIN)
    for unit in catalog.units():
        wnids = {ref.member.name[:9] for ref in catalog.refs(unit.start, unit.stop)}
        assert wnids == {unit.id}


@given(st.frozensets(st.integers(0, 7), min_size=1))
def test_selection_keeps_the_classes_asked_for(mini: Path, labels: frozenset[int]) -> None:
    for name, per_class in ((facts.TRAIN, 4), (facts.VAL, 2)):
        catalog = catalog_of(mini / name, labels)
        found = [ref.label for ref in catalog.refs()]
        assert {label for label in found if label is not None} == {label for label in labels if label < 6}
        assert len(found) == per_class * len({label for label in labels if label < 6})
        assert sum(u.images for u in catalog.units()) == len(found)


def test_samples_are_the_bytes_that_tarfile_reads(mini: Path) -> None:
    source = FileSource(mini / facts.VAL)
    catalog = Catalog(build_index(source), Wanted(Layout.parse("wnid")))
    with tarfile.open(mini / facts.VAL) as archive:
        for unit in catalog.units():
            for sample in catalog.samples(source, unit):
                file = archive.extractfile(sample.ref.member.name)
                assert file is not None
                assert sample.data == file.read()
                number = int(sample.ref.member.name[15:23])
                assert sample.ref.label == facts.val_labels()[number - 1]
