"""Kaggle's download, `imagenet-object-localization-challenge`: images, lists, boxes and solutions.

Names and columns are those that its users read: the tree and `train_cls.txt` in Xilinx/Vitis-Tutorials (XD146), boxes
in star-whale/starwhale (example/datasets/image-net), solutions in the competition's own description of its data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from ilsvrc.facts import classes
from ilsvrc.testing.archives import ArchiveWriter
from ilsvrc.testing.chance import chance, out_of_order
from ilsvrc.testing.contents import Contents, Picture
from ilsvrc.testing.forms.folders import val_heap, with_folders
from ilsvrc.testing.tarball import Entry

ZIP = "imagenet-object-localization-challenge.zip"
TARGZ = "imagenet_object_localization_patched2019.tar.gz"
ROOT = "ILSVRC"
LISTS = ("LOC_sample_submission.csv", "LOC_synset_mapping.txt", "LOC_train_solution.csv", "LOC_val_solution.csv")

_DATA, _SETS, _BOXES = (f"{ROOT}/{name}/CLS-LOC" for name in ("Data", "ImageSets", "Annotations"))
_BOXED = 0.425
"""The share of train images that have boxes: 544,546 of 1,281,167 (the challenge's paper, arXiv 1409.0575)."""
_HEADER = "ImageId,PredictionString\n"


def write_kaggle(contents: Contents, writer: ArchiveWriter, folder: Path) -> None:
    """Write the download, unpacked."""
    writer.folder(folder, _entries(contents))


def write_kaggle_zip(contents: Contents, writer: ArchiveWriter, folder: Path) -> None:
    """Write the download as the zip of everything."""
    writer.zip(folder / ZIP, _entries(contents), deflated=contents.spec.compressed)


def write_kaggle_targz(contents: Contents, writer: ArchiveWriter, folder: Path) -> None:
    """Write the download as its parts: a tar.gz of the tree, with the lists beside it."""
    writer.flat(folder / TARGZ, with_folders(_tree(contents)), gzipped=True)
    writer.folder(folder, _lists(contents))


def _entries(contents: Contents) -> Iterator[Entry]:
    return chain(_tree(contents), _lists(contents))


def _tree(contents: Contents) -> Iterator[Entry]:
    """Yield all files below ILSVRC in path order; no folder of test without test images."""
    yield from _annotations(contents)
    test = (picture.at(f"{_DATA}/test/{picture.name}") for picture in contents.pictures("test"))
    train = (picture.at(f"{_DATA}/train/{picture.wnid}/{picture.name}") for picture in contents.pictures("train"))
    yield from chain(test, train, val_heap(contents, f"{_DATA}/val"))
    yield _text(f"{_SETS}/test.txt", partial(_numbered, contents, "test"))
    yield _text(f"{_SETS}/train_cls.txt", partial(_train_list, lambda: contents.pictures("train")))
    yield _text(f"{_SETS}/train_loc.txt", partial(_train_list, lambda: _boxed(contents)))
    yield _text(f"{_SETS}/val.txt", partial(_numbered, contents, "val"))


def _lists(contents: Contents) -> Iterator[Entry]:
    """Yield the four lists beside the tree."""
    makers: tuple[Callable[[], Iterable[str]], ...] = (
        partial(_sample, contents),
        _mapping,
        partial(_solution, contents, "train"),
        partial(_solution, contents, "val"),
    )
    yield from (_text(name, lines) for name, lines in zip(LISTS, makers, strict=True))


def _text(path: str, lines: Callable[[], Iterable[str]]) -> Entry:
    return Entry(path, lambda: "".join(lines()).encode())


def _train_list(pictures: Callable[[], Iterable[Picture]]) -> Iterator[str]:
    """Yield `WNID/NAME LINE` for each train image, without the ending."""
    for line, picture in enumerate(pictures(), 1):
        yield f"{picture.wnid}/{picture.stem} {line}\n"


def _numbered(contents: Contents, split: str) -> Iterator[str]:
    """Yield `NAME NUMBER` for each image of val or test: in the full set, the number is the line's as well."""
    for picture in contents.pictures(split):
        yield f"{picture.stem} {int(picture.stem[-8:])}\n"


def _mapping() -> Iterator[str]:
    return (f"{synset.wnid} {synset.words}\n" for synset in classes())


def _solution(contents: Contents, split: str) -> Iterator[str]:
    """Yield the boxes of a split's images, one image per line, not in order."""
    of = {p.stem: p for p in (_boxed(contents) if split == "train" else contents.pictures("val"))}
    yield _HEADER
    for stem in out_of_order(of, chance(contents.spec.seed, f"solution {split}")):
        picture = of[stem]
        boxes = "".join(f"{picture.wnid} {' '.join(map(str, box))} " for box in _boxes(contents, picture))
        yield f"{stem},{boxes}\n"


def _sample(contents: Contents) -> Iterator[str]:
    """Yield a submission that names class 1 and one box for every test image."""
    yield _HEADER
    yield from (f"{picture.stem},1 240 170 260 240\n" for picture in contents.pictures("test"))


class _Box(NamedTuple):
    """A box in pixels, from 0 to the width or height."""

    xmin: int
    ymin: int
    xmax: int
    ymax: int


def _boxed(contents: Contents) -> Iterator[Picture]:
    """Yield the train images that have boxes, in order: the same share of each class, at least one."""
    for wnid, of_class in groupby(contents.pictures("train"), key=attrgetter("wnid")):
        pictures = list(of_class)
        wanted = max(1, round(len(pictures) * _BOXED))
        drawn = chance(contents.spec.seed, f"boxes {wnid}").sample(range(len(pictures)), wanted)
        yield from (pictures[place] for place in sorted(drawn))


def _boxes(contents: Contents, picture: Picture) -> list[_Box]:
    """Return the boxes of a picture: one in most, up to three."""
    drawn = chance(contents.spec.seed, f"box {picture.name}")
    width, height = contents.camera.size(picture.name, picture.label)
    [count] = drawn.choices((1, 2, 3), (80, 15, 5))
    boxes = []
    for _ in range(count):
        left, top = drawn.randrange(width // 2), drawn.randrange(height // 2)
        boxes.append(_Box(left, top, drawn.randint(left + 1, width), drawn.randint(top + 1, height)))
    return boxes


def _annotations(contents: Contents) -> Iterator[Entry]:
    """Yield the boxes of train and val as XML, one file per image, as in PASCAL VOC."""
    for picture in _boxed(contents):
        yield Entry(f"{_BOXES}/train/{picture.wnid}/{picture.stem}.xml", partial(_xml, contents, picture))
    for picture in contents.pictures("val"):
        yield Entry(f"{_BOXES}/val/{picture.stem}.xml", partial(_xml, contents, picture))


def _xml(contents: Contents, picture: Picture) -> bytes:
    width, height = contents.camera.size(picture.name, picture.label)
    folder = picture.wnid if picture.split == "train" else "val"
    objects = "".join(_OBJECT.format(name=picture.wnid, box=box) for box in _boxes(contents, picture))
    text = _XML.format(folder=folder, stem=picture.stem, width=width, height=height, objects=objects)
    return text.encode()


_XML = """<annotation>
\t<folder>{folder}</folder>
\t<filename>{stem}</filename>
\t<source>
\t\t<database>ILSVRC_2012</database>
\t</source>
\t<size>
\t\t<width>{width}</width>
\t\t<height>{height}</height>
\t\t<depth>3</depth>
\t</size>
\t<segmented>0</segmented>
{objects}</annotation>
"""

_OBJECT = """\t<object>
\t\t<name>{name}</name>
\t\t<pose>Unspecified</pose>
\t\t<truncated>0</truncated>
\t\t<difficult>0</difficult>
\t\t<bndbox>
\t\t\t<xmin>{box.xmin}</xmin>
\t\t\t<ymin>{box.ymin}</ymin>
\t\t\t<xmax>{box.xmax}</xmax>
\t\t\t<ymax>{box.ymax}</ymax>
\t\t</bndbox>
\t</object>
"""
