"""Where the archives are, and what a size tells."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from ilsvrc import facts


def test_every_archive_has_an_official_url() -> None:
    assert facts.official_url(facts.VAL) == "https://image-net.org/data/ILSVRC/2012/ILSVRC2012_img_val.tar"
    assert all(urlsplit(facts.official_url(a.name)).hostname == "image-net.org" for a in facts.archives())


def test_the_magnet_links_carry_infohash_name_and_trackers() -> None:
    for name, infohash in facts.infohashes().items():
        link = facts.academic_magnet(name)
        assert link
        query = parse_qs(urlsplit(link).query)
        assert query["xt"] == [f"urn:btih:{infohash}"]
        assert query["dn"] == [name]
        assert query["tr"] == list(facts.urls("tracker"))
    assert facts.academic_magnet(facts.DEVKIT) is None


@pytest.mark.parametrize("archive", [a for a in facts.archives() if a.size], ids=lambda a: a.name)
def test_a_published_size_names_its_archive(archive: facts.ArchiveSpec) -> None:
    assert archive.size
    assert str(facts.known_by_size(archive.size)).startswith(archive.name)
    assert facts.known_by_size(archive.size + 1) is None


def test_other_files_are_known_by_the_range_of_their_sizes() -> None:
    assert "Fall 2011" in str(facts.known_by_size(1_310_000_000_000))
    assert facts.known_by_size(1) is None
