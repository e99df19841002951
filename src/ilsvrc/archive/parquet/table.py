"""The other columns of a Parquet file of images: names and labels, and which columns hold them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ilsvrc import facts
from ilsvrc.archive.index import numbers
from ilsvrc.archive.names import LAST_NUMBER, NO_LABEL
from ilsvrc.archive.parquet.footer import Column, RowGroup, read_footer
from ilsvrc.archive.parquet.pages import FETCH_AGAIN, damaged
from ilsvrc.archive.remote import SourceFile
from ilsvrc.archive.source import ByteSource
from ilsvrc.errors import ArchiveError
from ilsvrc.issues import Code

IMAGE_COLUMNS = ("image", "img", "jpg", "jpeg", "JPEG")
"""Names of the column of images: a struct of `bytes` and `path`, or the bytes themselves."""

LABEL_COLUMNS = ("label", "labels", "cls", "class", "target")
"""Names of the column of labels: indices, or wnids."""

NAME_COLUMNS = ("path", "file_name", "filename", "name", "__key__")
"""Names of the column of names, where the column of images has none."""

NO_CLAIM = -2
"""Label of a row whose label column says nothing."""

ONE_SPLIT = "keep splits in files of their own"

_PREFIXES = {"train": "n", "val": "ILSVRC2012_val_", "test": "ILSVRC2012_test_"}
_ROWS = 1 << 16
_FIRST_ROWS = 256
"""Rows that are looked at to tell the split of a file."""

_LONGEST = 4 << 10
"""Bytes of a name, on average, beyond which the column is no column of names."""

_NAME = (
    r"^(?:.*[/\\])?(?P<stem>(?:n[0-9]{8}_[0-9]{1,9}|ILSVRC2012_(?:val|test)_[0-9]{8}))(?:_(?P<wnid>n[0-9]{8}))?"
    r"(?:\.(?i:jpe?g))?$"
)
"""An image's name; Hugging Face's names have the wnid a second time, those of val after the number.

The image is labelled by the last part of its name in imagenet-1k.py, the loading script that the files were made by.
"""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a file hold what, by their paths in the schema.

    image : the bytes of images
    name : their names
    label : their labels, or None
    classes : names of the classes by label, as datasets' ClassLabel has them; none if the file has none
    """

    image: str
    name: str
    label: str | None
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Names:
    """What the names and labels of some rows say.

    split : train, val or test
    names : official names
    labels : what they say of labels, int16; -1 in test
    claims : what the label column says, int64; NO_CLAIM where it says nothing
    repeated : what the wnid at the end of a name says, int64; NO_CLAIM where there is none
    """

    split: str
    names: pa.StringArray
    labels: npt.NDArray[np.int16]
    claims: npt.NDArray[np.int64]
    repeated: npt.NDArray[np.int64]


class ImageTable:
    """A Parquet file that may hold images of the data set.

    Parameters
    ----------
    source
        The file.

    Raises
    ------
    ArchiveError
        If it is no whole Parquet file.
    """

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self.footer = read_footer(source)
        with self._sound("its footer can't be read"):
            self._file = pq.ParquetFile(pa.PythonFile(SourceFile(source), mode="r"))
            self._schema = self._file.schema_arrow
        self._leaves = [leaf.path for leaf in self.footer.leaves if not leaf.repeated]
        self.columns = self._columns()

    @property
    def rows(self) -> int:
        """How many rows the file has."""
        return sum(group.rows for group in self.footer.groups)

    def images_in(self, group: RowGroup) -> Column:
        """Return the column of images in a row group."""
        assert self.columns is not None
        return self._column(group, self.columns.image)

    def first_split(self) -> str | None:
        """Return the split of the first image that has a name; None if the first rows hold no image of the data set.

        A row without a name of the data set is a fault in it, which `names` tells; other data have no such names.
        """
        if self.columns is None:
            return None
        self._refuse_long(self.columns.name)
        with self._sound("its names can't be read"):
            batch = next(self._file.iter_batches(_FIRST_ROWS, columns=[self.columns.name]), None)
            if batch is None:
                return None
            stems = pc.extract_regex(pc.cast(_leaf(batch, self.columns.name), pa.string()), _NAME).field("stem")
        first = next((stem for stem in stems.to_pylist() if stem), None)
        return first and next(split for split, prefix in _PREFIXES.items() if first.startswith(prefix))

    def names(self, rows: int = _ROWS) -> Iterator[Names]:
        """Yield what names and labels say, so many rows at a time.

        Raises
        ------
        ArchiveError
            If a name is none of an image of the data set, or of a class that is none of the 1000.
        """
        columns = self.columns
        assert columns is not None
        wanted = [columns.name, *([columns.label] if columns.label else [])]
        self._refuse_long(columns.name)
        at = 0
        with self._sound("its names or labels can't be read"):
            for batch in self._file.iter_batches(rows, columns=wanted):
                names = _leaf(batch, columns.name)
                claims = self._claims(_leaf(batch, columns.label)) if columns.label else None
                yield self._understood(names, claims, at)
                at += batch.num_rows

    def images(self, group: int) -> pa.Array:
        """Return the images of a row group, all in memory."""
        assert self.columns is not None
        with self._sound(f"row group {group} can't be read"):
            table = self._file.read_row_group(group, columns=[self.columns.image], use_threads=False)
            found = _leaf(table.combine_chunks().to_batches()[0], self.columns.image)
        if found.null_count:
            raise ArchiveError(Code.MISSING_IMAGE, "there is a row without the bytes of its image", self.source.path)
        return found

    def _columns(self) -> Columns | None:
        """Return which columns hold what; None if there are no images or no names."""
        schema = self._schema
        image = next((name for name in IMAGE_COLUMNS if schema.names.count(name) == 1), None)
        if image is None:
            return None
        kind = schema.field(image).type
        if pa.types.is_struct(kind):
            inner = {field.name: field.type for field in kind}
            leaf, name = f"{image}.bytes", f"{image}.path" if "path" in inner else None
            kind = inner.get("bytes")
        else:
            leaf, name = image, None
        name = name or next((name for name in NAME_COLUMNS if name in schema.names), None)
        if kind is None or not _is_bytes(kind) or name is None or {leaf, name} - set(self._leaves):
            return None
        label = next((name for name in LABEL_COLUMNS if name in self._leaves), None)
        return Columns(leaf, name, label, _class_names(schema.metadata or {}, label))

    def _understood(self, names: pa.Array, claims: npt.NDArray[np.int64] | None, at: int) -> Names:
        """Return what names mean, having compared the wnids within them."""
        names = pc.cast(names, pa.string())
        parts = pc.extract_regex(names, _NAME)
        if parts.null_count:
            row = pc.index(pc.is_null(parts), True).as_py()
            text = names[row].as_py()
            detail = f"row {at + row:,} has no name" if text is None else f"row {at + row:,} is named {text[:200]!r}"
            hint = "images are known by their names, such as n01440764_10026.JPEG or ILSVRC2012_val_00000001.JPEG"
            detail = f"{detail}, which no image of ILSVRC 2012 is"
            raise ArchiveError(Code.UNKNOWN_MEMBER, detail, self.source.path, hint=hint)
        stems, again = parts.field("stem"), parts.field("wnid")
        first = stems[0].as_py()
        split, prefix = next((split, prefix) for split, prefix in _PREFIXES.items() if first.startswith(prefix))
        same = pc.starts_with(stems, prefix)
        if same.true_count < len(stems):
            row = pc.index(same, False).as_py()
            detail = f"row {at + row:,} is {stems[row].as_py()}, an image of another split than {first}"
            raise ArchiveError(Code.UNKNOWN_MEMBER, detail, self.source.path, hint=ONE_SPLIT)
        labels = self._labels(split, stems, at)
        if claims is None:
            claims = np.full(len(labels), NO_CLAIM, np.int64)
        repeated = np.where(_filled(pc.binary_length(again), 0) > 0, _index_of(again), NO_CLAIM)
        return Names(split, pc.replace_substring_regex(stems, "^(.*)$", r"\1.JPEG"), labels, claims, repeated)

    def _labels(self, split: str, stems: pa.Array, at: int) -> npt.NDArray[np.int16]:
        """Return the labels that names stand for: the wnid of train, the packaged truth of val, -1 in test."""
        if split == "train":
            labels = _index_of(pc.utf8_slice_codeunits(stems, 0, 9))
            wrong = labels < 0
        else:
            start = len(_PREFIXES[split])
            number = _filled(pc.cast(pc.utf8_slice_codeunits(stems, start, start + 8), pa.int64()), 0)
            wrong = (number < 1) | (number > LAST_NUMBER[split])
            truth = facts.val_labels().astype(np.int64)
            labels = truth[(number - 1) % len(truth)] if split == "val" else np.full(len(stems), NO_LABEL, np.int64)
        if wrong.any():
            row = int(wrong.argmax())
            detail = f"row {at + row:,} is {stems[row].as_py()}, of no image or class of ILSVRC 2012"
            hint = "this may be another release; ilsvrc handles ILSVRC 2012"
            raise ArchiveError(Code.UNKNOWN_CLASS, detail, self.source.path, hint=hint)
        return labels.astype(np.int16)

    def _claims(self, column: pa.Array) -> npt.NDArray[np.int64]:
        """Return the labels in the label column as indices of sorted wnids."""
        assert self.columns is not None
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_integer(column.type):
            values = _filled(pc.cast(column, pa.int64()), NO_CLAIM)
            meant = _meant(self.columns.classes)
            inside = (values >= 0) & (values < len(meant))
            return np.where(inside, meant[np.where(inside, values, 0)], values) if len(meant) else values
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            return np.where(_filled(pc.is_valid(column), 0), _index_of(pc.cast(column, pa.string())), NO_CLAIM)
        detail = f"labels are of type {column.type}, not numbers or wnids"
        raise ArchiveError(Code.WRONG_LABEL, detail, self.source.path, hint="write the files again with indices")

    def _refuse_long(self, column: str) -> None:
        """Refuse a column of names of absurd size before it is read."""
        for group in self.footer.groups:
            found = self._column(group, column)
            if found.plain > _LONGEST * (group.rows + 16):
                raise ArchiveError(Code.BAD_HEADER, "its names are too long to be names", self.source.path)

    def _column(self, group: RowGroup, path: str) -> Column:
        found = group.columns.get(path)
        if found is None:
            raise damaged(self.source, 0, f"a row group has no column {path}")
        return found

    def _sound(self, failure: str) -> _Sound:
        return _Sound(self.source, failure)


class _Sound:
    """Turns errors of pyarrow about a file into ours."""

    def __init__(self, source: ByteSource, failure: str) -> None:
        self._source = source
        self._failure = failure

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, ValueError, KeyError, UnicodeDecodeError, pa.ArrowException)):
            first = str(error).partition("\n")[0][:200]
            detail = f"damaged Parquet: {self._failure}: {first}"
            raise ArchiveError(Code.BAD_HEADER, detail, self._source.path, hint=FETCH_AGAIN) from None


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _leaf(batch: pa.RecordBatch, path: str) -> pa.Array:
    """Return a column, or a field of a column of structs, null where the struct is."""
    top, _, field = path.partition(".")
    column = batch.column(top)
    return pc.struct_field(column, field) if field else column


def _filled(array: pa.Array, missing: int) -> npt.NDArray[np.int64]:
    """Return an array of numbers or booleans as int64, with a number where nothing is.

    By its buffers: pyarrow's own ways import pandas wherever that is installed, half a second for every command.
    """
    array = pc.cast(array, pa.int64())
    found = numbers(array)
    if not array.null_count:
        return found
    bits = np.frombuffer(array.buffers()[0], np.uint8)
    valid = np.unpackbits(bits, bitorder="little")[array.offset : array.offset + len(array)]
    return np.where(valid, found, missing)


@cache
def _wnids() -> pa.StringArray:
    text = "".join(facts.classes().wnids).encode()
    ends = np.arange(0, len(text) + 1, len(text) // len(facts.classes()), dtype=np.int32)
    return pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(text))


def _index_of(wnids: pa.Array) -> npt.NDArray[np.int64]:
    """Return the indices of wnids; -1 for what is none of the 1000."""
    return _filled(pc.index_in(wnids, _wnids()), -1)


def _class_names(metadata: Mapping[bytes, bytes], label: str | None) -> tuple[str, ...]:
    """Return the names of classes that `datasets` writes in a file's metadata, below `huggingface`."""
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()
    whole = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if whole else ()


def _meant(names: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Return the index of sorted wnids that each label stands for by the name of its class.

    A name is a wnid, or the words of a class. Hugging Face's own names are in the order of sorted wnids (classes.py
    beside imagenet-1k.py); what names nothing by itself, such as its `crane2`, is taken for the class in its place.
    """
    classes = facts.classes()
    by_name: dict[str, list[int]] = {}
    for synset in classes:
        for name in {synset.wnid, synset.words, synset.name}:
            by_name.setdefault(name, []).append(synset.index)
    found = []
    for place, name in enumerate(names):
        meant = by_name.get(name, [])
        found.append(meant[0] if len(meant) == 1 and place not in meant else place)
    return np.array(found, np.int64)
