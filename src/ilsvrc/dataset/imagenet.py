"""The data set in place: a map-style dataset over archives or trees; nothing is unpacked."""

from __future__ import annotations

import builtins
import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ilsvrc import facts
from ilsvrc.dataset.loading import load
from ilsvrc.dataset.notebook import THUMBNAILS, Thumbnail, strip
from ilsvrc.dataset.samples import Path, Samples, row_of
from ilsvrc.dataset.transforms import JointTransform, StandardTransform, Transform, refuse_both
from ilsvrc.dataset.views import position
from ilsvrc.errors import MachineError, UsageError
from ilsvrc.facts import Synset
from ilsvrc.images.decode import Loader, UndecodableError, loader_of
from ilsvrc.issues import Code
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.reader import Reader
from ilsvrc.readers.subset import Classes, Excluded, Subset, excluded_names, wanted_labels
from ilsvrc.stores.path import StorePath

_INDENT = " " * 4


def class_words(synsets: Sequence[Synset]) -> list[tuple[str, ...]]:
    """Return the words of each class."""
    return [tuple(synset.words.split(", ")) for synset in synsets]


def word_positions(synsets: Sequence[Synset]) -> dict[str, int]:
    """Return the position of each class by its unique name, and by each of its words that no other class has.

    `crane` names a bird and a machine: neither has it, they are `crane (wading bird)` and `crane (lifting device)`.
    """
    words = class_words(synsets)
    times = Counter(word for of_class in words for word in set(of_class))
    found = {word: at for at, of_class in enumerate(words) for word in of_class if times[word] == 1}
    return found | {synset.name: at for at, synset in enumerate(synsets)}


class ImageNet:
    """ILSVRC 2012 in place, in archives or in a tree that any tool made: a drop-in for torchvision's ImageNet.

    Index i is the image that torchvision's ImageFolder has at i over a tree with wnid folders. Its label is the
    position of its wnid among the sorted 1000, whatever the folders are called. Safe to use from many threads;
    pickles by reopening. An archive's index is read into memory: forked workers share it, a spawned one has its own.

    Parameters
    ----------
    root
        A folder of the official archives, one archive, a tree with `train` or `val` in it, or one split's folder; or
        the address of archives, of Parquet or other shards in an object store, such as `s3://bucket/imagenet`.
    split
        `train`, `val` or `test`. The label of a test image is -1.
    transform, target_transform
        Applied to every image and to every label.
    loader
        Turns the bytes of a file into an image: `pillow` gives an RGB Pillow image, `simplejpeg` an array of shape
        (height, width, 3), uint8; or a function of the bytes.
    transforms
        Applied to every image and its label together, instead of `transform` and `target_transform`.
    classes
        The classes wanted: wnids, indices or words, or a file that lists them.
    relabel
        Number the wanted classes, or else the classes present, 0 to k - 1 in order of their wnids.
    fraction, per_class, seed
        A part of the images of every class, drawn from the seed.
    exclude
        `blacklist`, `anomalies`, names of images, or a file that lists them.
    verify
        Compare every image read with its digest, which `ilsvrc index --digests` or `ilsvrc prepare` recorded.

    Raises
    ------
    IlsvrcError
        UsageError if the split is not there, no image is left, or the loader takes a path; ArchiveError for an
        archive that can't be trusted; on reading, DataError for an image that is damaged or no longer there.
    ValueError
        If `transforms` is given together with `transform` or `target_transform`.

    >>> dataset = ImageNet("/data/archives", split="val")  # doctest: +SKIP
    >>> image, label = dataset[0]  # doctest: +SKIP
    """

    def __init__(  # noqa: PLR0913  -- torchvision's parameters, and the choice of images
        self,
        root: Path | StorePath,
        split: str = "train",
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        loader: str | Loader | None = None,
        *,
        transforms: JointTransform | None = None,
        classes: Classes | None = None,
        relabel: bool = False,
        fraction: float | None = None,
        per_class: int | None = None,
        seed: int = 0,
        exclude: Excluded = (),
        verify: bool = False,
    ) -> None:
        refuse_both(transforms, transform, target_transform)
        given = str(root) if isinstance(root, StorePath) else os.fspath(root)
        self.root = os.path.expanduser(given)  # noqa: PTH111  -- the text as torchvision keeps it, slashes too
        self.split = split
        self.transform = transform
        self.target_transform = target_transform
        self._joint = transforms
        self._loader = loader_of(loader)
        subset = Subset(wanted_labels(classes), fraction, per_class, seed, excluded_names(exclude))
        everything = open_reader(self.root, split, verify=verify)
        self._reader = subset.of(everything)
        self._numbering = _numbered(subset, everything) if relabel else None
        self._opened = self._samples = Samples(self._reader, self._numbering)
        self._imgs: Sequence[tuple[str, int]] | None = None
        self._targets: Sequence[int] | None = None
        self._lists_agree = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("find_classes", "make_dataset"):
            if name in cls.__dict__:
                hint = "give classes=[...] and relabel=True, or assign `samples`"
                raise UsageError(f"{cls.__name__} defines {name}, which ilsvrc.ImageNet never calls", hint=hint)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        at = position(index, len(self))
        if not self._lists_agree:
            self._require_agreement()
        refuse_both(self._joint, self.transform, self.target_transform)
        image, target = self._image(self._samples.row(at)), self._samples.label(at)
        if self._joint is not None:
            image, target = self._joint(image, target)
            return image, target
        if self.transform is not None:
            image = self.transform(image)
        return image, target if self.target_transform is None else self.target_transform(target)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return (self[index] for index in range(len(self)))

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, Any]]:
        """Return a batch, for torch's DataLoader: the system prefetches all of it while the first are decoded.

        Of a store, all of it is asked for at the same time, neighbours by one request.
        """
        self.will_need(indices)
        try:
            return [self[index] for index in indices]
        finally:
            if self.is_remote:
                self._samples.let_go(np.asarray(indices, np.int64))

    def __add__(self, other: Any) -> Any:
        """Return torch's ConcatDataset of this data set and another one."""
        if not (hasattr(other, "__getitem__") and hasattr(other, "__len__")):
            return NotImplemented
        try:
            from torch.utils.data import ConcatDataset
        except ImportError as error:
            raise MachineError(
                "adding data sets needs torch, which is not installed", hint="pip install torch"
            ) from error
        return ConcatDataset([self, other])

    def bytes(self, index: int) -> builtins.bytes:
        """Return an image's file, byte for byte."""
        return self._reader.read(self._samples.row(position(index, len(self))))

    def open(self, index: int) -> io.BytesIO:
        """Return an image's file, open for reading."""
        return io.BytesIO(self.bytes(index))

    def path(self, index: int) -> str:
        """Return the path of an image; in an archive, the archive's path with class and name after it."""
        return self._samples.path(position(index, len(self)))

    @property
    def loader(self) -> Callable[[builtins.bytes | Path], Any]:
        """The loader, which takes a path of `samples` as well, as subclasses of torchvision's data sets call it."""
        return self._load

    @loader.setter
    def loader(self, loader: str | Loader | None) -> None:
        self._loader = loader_of(loader)

    @property
    def transforms(self) -> JointTransform | None:
        """The transform of image and label together; None if there is no transform."""
        if self._joint is not None or (self.transform is None and self.target_transform is None):
            return self._joint
        return StandardTransform(self.transform, self.target_transform)

    @transforms.setter
    def transforms(self, transforms: JointTransform | None) -> None:
        self._joint, self.transform, self.target_transform = transforms, None, None

    @property
    def samples(self) -> Sequence[tuple[str, int]]:
        """Path and label of every image, made as they are read. Assign a list to choose images or labels.

        `targets` and `imgs` keep their entries then, as in torchvision, until they are assigned too.
        """
        return self._samples.view()

    @samples.setter
    def samples(self, pairs: Iterable[tuple[Path, int]]) -> None:
        self._samples = self._opened.chosen(pairs)
        self._lists_agree = False

    @property
    def imgs(self) -> Sequence[tuple[str, int]]:
        """The samples as opened, or the list that was assigned, which must equal `samples` when an image is read."""
        return self._opened.view() if self._imgs is None else self._imgs

    @imgs.setter
    def imgs(self, pairs: Sequence[tuple[str, int]]) -> None:
        self._imgs, self._lists_agree = pairs, False

    @property
    def targets(self) -> Sequence[int]:
        """The labels as opened, or the list that was assigned, which must fit `samples` when an image is read."""
        return self._opened.numbers() if self._targets is None else self._targets

    @targets.setter
    def targets(self, labels: Sequence[int]) -> None:
        self._targets, self._lists_agree = labels, False

    @property
    def synsets(self) -> Sequence[Synset]:
        """The class of each label."""
        table = facts.classes()
        return table if self._numbering is None else [table[label] for label in self._numbering.tolist()]

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
        """The label of each word; a word of two classes is there in its unique forms only."""
        return word_positions(self.synsets)

    def find_classes(self, directory: Path | None = None) -> tuple[list[str], dict[str, int]]:  # noqa: ARG002
        """Return the wnids and the label of each, as torchvision's method does; no folder is looked at."""
        return list(self.wnids), dict(self.wnid_to_idx)

    def storage_order(self) -> npt.NDArray[np.int64]:
        """Return the indices of all images in the order in which they lie on the disk, shape (N,), int64."""
        return self._samples.storage_order()

    @property
    def is_remote(self) -> bool:
        """Whether the images lie in a store: what is prefetched is in this process's memory, for no other one."""
        return isinstance(self._reader.path, StorePath)

    def will_need(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> None:
        """Let the system prefetch these images into memory, if it can; returns at once."""
        self._samples.will_need(np.asarray(indices, np.int64))

    def extra_repr(self) -> str:
        """Return the lines that `repr` adds; subclasses may return others."""
        return f"Split: {self.split}"

    def __repr__(self) -> str:
        body = [f"Number of datapoints: {len(self)}", f"Root location: {self.root}", *self.extra_repr().splitlines()]
        if self.transforms is not None:
            body.append(repr(self.transforms))  # its further lines are not indented, as torchvision's are not
        return "\n".join([f"Dataset {type(self).__name__}", *(_INDENT + line for line in body)])

    def _repr_html_(self) -> str:
        """Return what notebooks show: the text of `repr` and a strip of images from all over the data set."""
        places = np.unique(np.linspace(0, len(self) - 1, min(THUMBNAILS, len(self))).astype(np.int64)).tolist()
        return strip(repr(self), [self._thumbnail(index) for index in places])

    def _thumbnail(self, index: int) -> Thumbnail:
        path, label = self._samples.sample(index)
        named = 0 <= label < len(self.synsets)
        caption = self.synsets[label].name if named else str(label)
        return Thumbnail(caption, path, lambda: self.bytes(index))

    def _load(self, image: builtins.bytes | Path) -> Any:
        """Return the image of a file's bytes, or of a path of `samples`."""
        if isinstance(image, (str, os.PathLike)):
            return self._image(row_of(self._reader, image))
        return load(self._loader, image)

    def _image(self, row: int) -> Any:
        try:
            return load(self._loader, self._reader.read(row))
        except UndecodableError as error:
            raise self._reader.where(row).fault(Code.UNDECODABLE, str(error)) from error

    def _require_agreement(self) -> None:
        """Refuse `targets` or `imgs` that were assigned and don't say what `samples` says: they would have no effect.

        Raises
        ------
        UsageError
            If one of them differs.
        """
        if self._targets is not None and not _same(self._targets, self._samples.labels()):
            raise _disagreement("targets", "assign `samples` with the new labels too, or give target_transform")
        if self._imgs is not None and not self._samples.view() == [tuple(pair) for pair in self._imgs]:
            raise _disagreement("imgs", "assign `samples`, which images are read by")
        self._lists_agree = True


def _same(assigned: Sequence[int], labels: npt.NDArray[np.int64]) -> bool:
    try:
        return np.array_equal(np.asarray(assigned), labels)
    except ValueError:  # entries of different shapes
        return False


def _disagreement(name: str, hint: str) -> UsageError:
    return UsageError(
        f"`{name}` was assigned a list that differs from `samples`, by which images are read", hint=hint
    )


def _numbered(subset: Subset, reader: Reader) -> npt.NDArray[np.int16]:
    """Return the labels to be numbered anew, ascending: those of the wanted classes, or else those present."""
    there = np.unique(reader.labels)
    wanted = there if subset.labels is None else np.array(sorted(subset.labels), np.int16)
    return wanted[wanted >= 0]
