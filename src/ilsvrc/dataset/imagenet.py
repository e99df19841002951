"""The data set as it lies: a map-style dataset over archives or trees, nothing unpacked."""

from __future__ import annotations

import builtins
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from ilsvrc import facts
from ilsvrc.facts import Synset
from ilsvrc.images.decode import Loader, UndecodableError, loader_of
from ilsvrc.issues import Code
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.reader import Reader
from ilsvrc.readers.subset import Classes, Excluded, Subset, excluded_names, wanted_labels


def class_words(synsets: Sequence[Synset]) -> list[tuple[str, ...]]:
    """Return the words of each class."""
    return [tuple(synset.words.split(", ")) for synset in synsets]


def word_positions(synsets: Sequence[Synset]) -> dict[str, int]:
    """Return the position of each class by each of its words that tell it from the others, and by its unique name.

    `crane` names a bird and a machine: neither has it, they are `crane (wading bird)` and `crane (lifting device)`.
    """
    words = class_words(synsets)
    times = Counter(word for of_class in words for word in set(of_class))
    found = {word: at for at, of_class in enumerate(words) for word in of_class if times[word] == 1}
    return found | {synset.name: at for at, synset in enumerate(synsets)}


T = TypeVar("T")
_SHOWN = 3


class View(Sequence[T]):
    """A read-only list of `length` entries, each made by `item` when it is asked for; a slice is a real list."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, length: int, item: Callable[[int], T]) -> None:
        self._length = length
        self._item = item

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self._item(i) for i in range(*index.indices(self._length))]
        return self._item(position(index, self._length))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:_SHOWN]))
        return f"[{shown}{', ...' if len(self) > _SHOWN else ''}] ({len(self):,} entries)"


class Numbers(View[int]):
    """A view of numbers, which NumPy takes as an array of int64 at once."""

    def __init__(self, array: Callable[[], npt.NDArray[np.int64]], length: int, item: Callable[[int], int]) -> None:
        super().__init__(length, item)
        self._array = array

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[np.int64]:
        if copy is False:
            raise ValueError("the numbers are worked out, so an array of them is always a copy")
        return self._array().astype(np.int64 if dtype is None else dtype, copy=False)


def position(index: int, length: int) -> int:
    """Return an index of a list of this length, negative ones counted from its end.

    Raises
    ------
    IndexError
        If it is out of range.
    """
    if -length <= index < 0:
        return index + length
    if not 0 <= index < length:
        raise IndexError(f"index {index} of {length:,} images")
    return index


Transform = Callable[[Any], Any]


class ImageNet:
    """ILSVRC 2012 where it lies, in archives or in a tree of any tool: a drop-in for torchvision's ImageNet.

    Image i is the one that torchvision's ImageFolder has at i over a tree with wnid folders, and its label is the
    position of its wnid among the sorted 1000, whatever folders are called. Safe to use from many threads; pickles by
    reopening; all processes share one memory-mapped index.

    Parameters
    ----------
    root
        A folder of the official archives, one archive, a tree with `train` or `val` in it, or one split's folder.
    split
        `train`, `val` or `test`, whose label is -1.
    transform, target_transform
        Applied to every image and every label.
    loader
        Turns the bytes of a file into an image: `pillow` gives an RGB Pillow image, `simplejpeg` an array of shape
        (height, width, 3), uint8; or a function of the bytes.
    classes
        The classes wanted: wnids, indices or words, or a file that lists them.
    relabel
        Number the classes wanted, or those there are, 0 to k - 1, in order of their wnids.
    fraction, per_class, seed
        A part of the images of every class, drawn by the seed.
    exclude
        `blacklist`, `anomalies`, names of images, or a file of them.
    verify
        Compare every image read with its digest, by `ilsvrc index --digests` or a prepared tree's manifest.

    Raises
    ------
    IlsvrcError
        UsageError if the split is not there, or nothing is left of it; ArchiveError for an archive that can't be
        trusted; on reading, DataError for an image that is damaged or not there any more.

    >>> dataset = ImageNet("/data/archives", split="val")  # doctest: +SKIP
    >>> image, label = dataset[0]  # doctest: +SKIP
    """

    def __init__(  # noqa: PLR0913  -- torchvision's parameters, and what narrows the images
        self,
        root: str | Path,
        split: str = "train",
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        loader: str | Loader | None = None,
        *,
        classes: Classes | None = None,
        relabel: bool = False,
        fraction: float | None = None,
        per_class: int | None = None,
        seed: int = 0,
        exclude: Excluded = (),
        verify: bool = False,
    ) -> None:
        self.root = str(root)
        self.split = split
        self.transform = transform
        self.target_transform = target_transform
        self.loader = loader_of(loader)
        subset = Subset(wanted_labels(classes), fraction, per_class, seed, excluded_names(exclude))
        everything = open_reader(root, split, verify=verify)
        self._reader = subset.of(everything)
        self._labels = _numbered(subset, everything) if relabel else None

    def __len__(self) -> int:
        return len(self._reader)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        row = position(index, len(self))
        try:
            image = self.loader(self._reader.read(row))
        except UndecodableError as error:
            raise self._reader.where(row).fault(Code.UNDECODABLE, str(error)) from error
        target = self._target(row)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return (self[index] for index in range(len(self)))

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, Any]]:
        """Return a batch, for torch's DataLoader; the system fetches all of it while the first are decoded."""
        self.will_need(indices)
        return [self[index] for index in indices]

    def bytes(self, index: int) -> builtins.bytes:
        """Return an image's file, byte for byte."""
        return self._reader.read(position(index, len(self)))

    def open(self, index: int) -> io.BytesIO:
        """Return an image's file, open for reading."""
        return io.BytesIO(self.bytes(index))

    def path(self, index: int) -> str:
        """Return where an image is: a path, which goes on inside the archive with class and name."""
        row = position(index, len(self))
        place, label = self._reader.where(row), self._reader.labels.item(row)
        if not place.member:
            return place.file
        folders = [facts.classes()[label].wnid] if label >= 0 else []
        return "/".join((place.file, *folders, self._reader.name(row)))

    @property
    def targets(self) -> Numbers:
        """The label of every image."""
        return Numbers(self._targets, len(self), self._target)

    @property
    def samples(self) -> View[tuple[str, int]]:
        """Path and label of every image, as ImageFolder has them; made as they are read."""
        return View(len(self), lambda index: (self.path(index), self._target(index)))

    imgs = samples

    @property
    def synsets(self) -> Sequence[facts.Synset]:
        """The class of each label."""
        table = facts.classes()
        return table if self._labels is None else [table[label] for label in self._labels.tolist()]

    @cached_property
    def wnids(self) -> list[str]:
        """The wnid of each label."""
        return [synset.wnid for synset in self.synsets]

    @cached_property
    def wnid_to_idx(self) -> dict[str, int]:
        """The label of each wnid."""
        return {wnid: label for label, wnid in enumerate(self.wnids)}

    @cached_property
    def classes(self) -> list[tuple[str, ...]]:
        """The words of each label."""
        return class_words(self.synsets)

    @cached_property
    def class_to_idx(self) -> dict[str, int]:
        """The label of each word; one that two classes share is nobody's but in its unique form."""
        return word_positions(self.synsets)

    def storage_order(self) -> npt.NDArray[np.int64]:
        """Return the indices of all images in the order in which they lie on the disk, shape (N,), int64."""
        return self._reader.storage_order()

    def will_need(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> None:
        """Let the system fetch these images into memory ahead, if it can; returns at once."""
        self._reader.will_need(np.asarray(indices, np.int64))

    def __repr__(self) -> str:
        return f"ImageNet {self.split}: {len(self):,} images of {len(self.synsets):,} classes in {self.root}"

    def _target(self, row: int) -> int:
        label = self._reader.labels.item(row)
        return label if self._labels is None else int(np.searchsorted(self._labels, label))

    def _targets(self) -> npt.NDArray[np.int64]:
        labels = self._reader.labels
        found = labels if self._labels is None else np.searchsorted(self._labels, labels)
        return found.astype(np.int64)


def _numbered(subset: Subset, reader: Reader) -> npt.NDArray[np.int16]:
    """Return the classes to be numbered anew, ascending: those wanted, or else those that there are."""
    there = np.unique(reader.labels)
    wanted = there if subset.labels is None else np.array(sorted(subset.labels), np.int16)
    return wanted[wanted >= 0]
