"""The forms of a miniature: one writer each, of the same images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ilsvrc.facts import DEVKIT, TEST, TRAIN, VAL
from ilsvrc.testing.archives import ArchiveWriter
from ilsvrc.testing.contents import Contents
from ilsvrc.testing.forms import folders, huggingface, kaggle
from ilsvrc.testing.forms.download import left_names
from ilsvrc.testing.spec import Form, MiniSpec, State

_WRITERS: dict[Form, Callable[[Contents, ArchiveWriter, Path], None]] = {
    Form.ARCHIVES: folders.write_archives,
    Form.INNER: folders.write_inner,
    Form.HEAP: folders.write_heap,
    Form.TREE: folders.write_tree,
    Form.KAGGLE: kaggle.write_kaggle,
    Form.KAGGLE_ZIP: kaggle.write_kaggle_zip,
    Form.KAGGLE_TARGZ: kaggle.write_kaggle_targz,
    Form.HF_PARQUET: huggingface.write_hf_parquet,
    Form.HF_TAR: huggingface.write_hf_tar,
    Form.TREE_TAR: folders.write_tree_tar,
}

_SPLIT_FOLDERS = ("train", "val", "test")

_NAMES: dict[Form, tuple[str, ...]] = {
    Form.ARCHIVES: (DEVKIT, TRAIN, VAL, TEST),
    Form.INNER: ("train", DEVKIT, VAL, TEST),
    Form.HEAP: _SPLIT_FOLDERS,
    Form.TREE: _SPLIT_FOLDERS,
    Form.KAGGLE: (kaggle.ROOT, *kaggle.LISTS),
    Form.KAGGLE_ZIP: (kaggle.ZIP,),
    Form.KAGGLE_TARGZ: (kaggle.TARGZ, *kaggle.LISTS),
    Form.HF_PARQUET: (huggingface.FOLDER,),
    Form.HF_TAR: (huggingface.FOLDER,),
}


def write_form(contents: Contents, writer: ArchiveWriter, folder: Path) -> None:
    """Write all files of a miniature's form into an empty folder."""
    _WRITERS[Form(contents.spec.form)](contents, writer, folder)


def top_names(spec: MiniSpec) -> tuple[str, ...]:
    """Return the names that a miniature may have directly in its folder, MD5SUMS aside."""
    names = _NAMES.get(Form(spec.form), ())
    if spec.form == Form.TREE_TAR:
        names = tuple(f"{split}.tar.gz" if spec.compressed else f"{split}.tar" for split in _SPLIT_FOLDERS)
    return (*names, *left_names(spec)) if spec.state == State.HALF_DOWNLOAD else names
