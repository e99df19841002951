from __future__ import annotations

import gzip
import tarfile

import pytest

from ilsvrc.errors import UsageError
from ilsvrc.facts import TRAIN, VAL
from ilsvrc.testing import FAULTS, Fault, MiniReport, MiniSpec
from ilsvrc.testing.planting import hosts
from tests.testing.helpers import decode, files, inner_with, members, train_images

IN_PLACE = [Fault.TRUNCATED_IMAGE, Fault.PNG_AS_JPEG, Fault.CMYK, Fault.ZERO_BYTE_IMAGE]
EXTRA = {
    Fault.PATH_TRAVERSAL: tarfile.REGTYPE,
    Fault.ABSOLUTE_PATH: tarfile.REGTYPE,
    Fault.SYMLINK: tarfile.SYMTYPE,
    Fault.HARD_LINK: tarfile.LNKTYPE,
    Fault.DEVICE: tarfile.CHRTYPE,
}


def test_the_report_names_each_fault_once_an_archive(broken: MiniReport) -> None:
    in_train = [p.fault for p in broken.planted if p.archive == TRAIN]
    in_val = [p.fault for p in broken.planted if p.archive == VAL]
    assert in_train == [fault for fault, spec in FAULTS.items() if not spec.in_transport]
    assert in_val == [Fault.MISSING_IMAGES, Fault.DOT_DIRECTORIES]


def test_classes_without_a_fault_are_left_alone(broken: MiniReport) -> None:
    untouched = [f"{s.wnid}.tar" for s in MiniSpec(classes=20).synsets[18:]]
    inner = files((broken.folder / TRAIN).read_bytes())
    for name in untouched:
        assert len(files(inner[name])) == 4
        assert {decode(data).format for data in files(inner[name]).values()} == {"JPEG"}


@pytest.mark.parametrize("fault", IN_PLACE)
def test_a_spoiled_image_is_alone_in_its_class(broken: MiniReport, fault: Fault) -> None:
    inner, name = inner_with(broken, fault)
    pictures = files(inner)
    assert len(pictures) == 4
    data = pictures.pop(name)
    assert {decode(other).format for other in pictures.values()} == {"JPEG"}
    match fault:
        case Fault.TRUNCATED_IMAGE:
            assert data[:2] == b"\xff\xd8"
            with pytest.raises(OSError, match="truncated"):
                decode(data)
        case Fault.PNG_AS_JPEG:
            assert decode(data).format == "PNG"
        case Fault.CMYK:
            assert (decode(data).format, decode(data).mode) == ("JPEG", "CMYK")
        case Fault.ZERO_BYTE_IMAGE:
            assert data == b""


@pytest.mark.parametrize(("fault", "kind"), EXTRA.items())
def test_a_dangerous_member_comes_on_top(broken: MiniReport, fault: Fault, kind: bytes) -> None:
    inner, name = inner_with(broken, fault)
    [bad] = [m for m, _ in members(inner) if m.name == name]
    assert bad.type == kind
    assert len(members(inner)) == 5
    assert bad.name == {"path-traversal": "../../evil.JPEG", "absolute-path": "/evil.JPEG"}.get(fault, bad.name)


def test_links_lead_out_of_the_folder_or_to_an_image(broken: MiniReport) -> None:
    symlink, name = inner_with(broken, Fault.SYMLINK)
    assert next(m for m, _ in members(symlink) if m.name == name).linkname.startswith("../../")
    hard_link, name = inner_with(broken, Fault.HARD_LINK)
    assert next(m for m, _ in members(hard_link) if m.name == name).linkname in files(hard_link)


def test_what_is_missing_is_missing(broken: MiniReport) -> None:
    places = {(p.fault, p.archive): p.member for p in broken.planted}
    images = files((broken.folder / TRAIN).read_bytes())
    assert places[Fault.MISSING_CLASS, TRAIN] not in images
    assert len(images) == 19
    inner, name = inner_with(broken, Fault.MISSING_IMAGES)
    assert name not in files(inner)
    assert len(files(inner)) == 3
    in_val = files((broken.folder / VAL).read_bytes())
    assert places[Fault.MISSING_IMAGES, VAL] not in {name.removeprefix("./") for name in in_val}
    assert len(in_val) == 39


def test_a_duplicate_has_another_picture(broken: MiniReport) -> None:
    inner, name = inner_with(broken, Fault.DUPLICATE_MEMBER)
    pictures = [data for member, data in members(inner) if member.name == name]
    assert len(pictures) == 2
    assert pictures[0] != pictures[1]


def test_python_takes_a_bad_checksum_for_the_end(broken: MiniReport) -> None:
    inner, name = inner_with(broken, Fault.BAD_CHECKSUM)
    assert len(members(inner)) == 2
    assert name.encode() in inner
    assert name not in files(inner)


def test_a_gzipped_inner_tar_holds_all_its_images(broken: MiniReport) -> None:
    inner, name = inner_with(broken, Fault.GZIPPED_INNER)
    assert name == ""
    assert len(files(gzip.decompress(inner))) == 4


@pytest.mark.parametrize(
    ("fault", "record"), [(Fault.GNU_LONG_NAME, tarfile.GNUTYPE_LONGNAME), (Fault.PAX_HEADER, tarfile.XHDTYPE)]
)
def test_a_record_stands_before_its_member(broken: MiniReport, fault: Fault, record: bytes) -> None:
    inner, name = inner_with(broken, fault)
    [member] = [m for m, _ in members(inner) if m.name == name]
    assert inner[member.offset + 156 : member.offset + 157] == record
    assert member.offset_data - member.offset == 3 * tarfile.BLOCKSIZE
    assert len(files(inner)) == 4


def test_one_size_is_in_base_256(broken: MiniReport) -> None:
    inner, name = inner_with(broken, Fault.BASE256_SIZE)
    binary = [m.name for m, _ in members(inner) if inner[m.offset + 124] == 0x80]
    assert binary == [name]
    assert decode(files(inner)[name]).format == "JPEG"


def test_dots_stand_before_every_name(broken: MiniReport) -> None:
    inner, _ = inner_with(broken, Fault.DOT_DIRECTORIES)
    for data in (inner, (broken.folder / VAL).read_bytes()):
        first, *rest = raw_names(data)
        assert first == "./"
        assert all(name.startswith("./") and name.endswith(".JPEG") for name in rest)


def raw_names(data: bytes) -> list[str]:
    """Return the names as they stand in the headers: tarfile tidies those of folders."""
    return [data[m.offset : m.offset + 100].rstrip(b"\0").decode() for m, _ in members(data)]


def test_images_are_counted_as_they_were_written(broken: MiniReport, clean: MiniReport) -> None:
    assert clean.images == 12 * 5 + 12 * 2
    # less the class, an image in train and one in val; a duplicate and two with dangerous names on top
    assert broken.images == 20 * 4 - 4 - 1 + 3 + 20 * 2 - 1


def test_faults_need_a_class_each() -> None:
    faults = frozenset(Fault)
    with pytest.raises(UsageError, match="20 faults") as caught:
        hosts(MiniSpec(classes=19, faults=faults))
    assert "20 classes" in caught.value.hint
    given = hosts(MiniSpec(classes=20, faults=faults))
    assert len({synset.wnid for synset in given.values()}) == 20
    assert given[Fault.TRUNCATED_ARCHIVE].index == 19


@pytest.mark.parametrize("spec", [(2, 1, 1), (1, 2, 1)])
def test_an_image_can_only_be_missed_among_others(spec: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="missing-images"):
        hosts(MiniSpec(*spec, faults=frozenset({Fault.MISSING_IMAGES})))


def test_every_class_has_images_in_a_clean_one(clean: MiniReport) -> None:
    assert {len(pictures) for pictures in train_images(clean.folder).values()} == {5}
