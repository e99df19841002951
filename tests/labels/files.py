"""Label files in the exact shapes that others ship, written without the code under test.

Shapes looked up in the originals: line ends, tabs, trailing blanks and final newlines included.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ilsvrc.facts import classes, val_labels

TRUTH = val_labels().tolist()
WNIDS = list(classes().wnids)
DEVKIT_IDS = [s.devkit_id for s in classes()]
BY_DEVKIT_ID = sorted(WNIDS, key=lambda wnid: classes().by_wnid(wnid).devkit_id)
LEXICOGRAPHIC = [sorted(map(str, range(1000))).index(str(i)) for i in range(1000)]

Writer = Callable[[Sequence[int]], str]


def names() -> list[str]:
    return [f"ILSVRC2012_val_{n:08}.JPEG" for n in range(1, 50_001)]


def caffe(labels: Sequence[object], *, prefix: str = "", separator: str = " ", final: str = "\n") -> str:
    pairs = zip(names(), labels, strict=False)
    return "\n".join(f"{prefix}{name}{separator}{label}" for name, label in pairs) + final


def ground_truth(labels: Sequence[int]) -> str:
    return "".join(f"{DEVKIT_IDS[i]}\n" for i in labels)


def name_wnid(labels: Sequence[int]) -> str:
    return "".join(f"{n} {WNIDS[i]}\r\n" for n, i in zip(names(), labels, strict=False))


def kaggle(labels: Sequence[int]) -> str:
    rows = zip(names(), labels, strict=False)
    lines = [f"{n[:-5]},{WNIDS[i]} 156 48 272 332 {WNIDS[i]} 42 9 322 285 \n" for n, i in rows]
    return "ImageId,PredictionString\n" + "".join(reversed(lines))  # the original is in no order


def tfds(labels: Sequence[int]) -> str:
    return "".join(f"{WNIDS[i]}\n" for i in labels)


def valprep(labels: Sequence[int]) -> str:
    folders = "".join(f"mkdir -p {wnid}\t\n" for wnid in WNIDS)
    return folders + "".join(f"mv {n} {WNIDS[i]}/\t\n" for n, i in zip(names(), labels, strict=False))


def mxnet(labels: Sequence[int]) -> str:
    return "".join(f"{k}\t{i}.000000\tval/{n}\n" for k, (n, i) in enumerate(zip(names(), labels, strict=False)))


IMAGE_FORMS: dict[str, Writer] = {
    "caffe": caffe,
    "caffe prefixed": lambda labels: caffe(labels, prefix="val/"),
    "caffe in zip, tabs": lambda labels: caffe(labels, prefix="val.zip@/", separator="\t"),
    "caffe without final newline": lambda labels: caffe(labels, final=""),
    "ground truth": ground_truth,
    "name wnid": name_wnid,
    "kaggle": kaggle,
    "tfds": tfds,
    "valprep": valprep,
    "mxnet": mxnet,
}
"""Each takes the index of every image."""


def class_index(wnids: Sequence[str]) -> str:
    names = {s.wnid: s.words.split(", ")[0].replace(" ", "_") for s in classes()}
    return json.dumps({str(i): [w, names.get(w, "something_else")] for i, w in enumerate(wnids)})


def class_index_indented(wnids: Sequence[str]) -> str:
    return json.dumps(json.loads(class_index(wnids)), indent="\t").replace("\n", "\r\n")


def synset_words(wnids: Sequence[str]) -> str:
    words = {s.wnid: s.words for s in classes()}
    return "".join(f"{w} {words.get(w, 'something else')}\n" for w in wnids)


def synset_mapping(wnids: Sequence[str]) -> str:
    return synset_words(wnids).replace("n02012849 crane", "n02012849 crane bird").rstrip("\n")


def synsets(wnids: Sequence[str]) -> str:
    return "".join(f"{w}\n" for w in wnids)


CLASS_FORMS: dict[str, Callable[[Sequence[str]], str]] = {
    "class index": class_index,
    "class index, indented, CRLF": class_index_indented,
    "synset_words": synset_words,
    "LOC_synset_mapping": synset_mapping,
    "synsets": synsets,
}
"""Each takes the wnid of every class number."""


def devkit_archive(path: Path, truth: str) -> Path:
    """Write an archive laid out as the devkit is."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in (
            ("readme.txt", b"read me"),
            ("data/ILSVRC2012_validation_ground_truth.txt", truth.encode()),
        ):
            member = tarfile.TarInfo(f"ILSVRC2012_devkit_t12/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def tree(root: Path, labels: Sequence[str]) -> Path:
    """Write a folder tree: each of the first images, empty, in the folder of its label."""
    for name, label in zip(names(), labels, strict=False):
        folder = root / label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return root
