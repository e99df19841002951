"""WebDataset: tar files in which the files of one sample follow each other and share a key.

The form: https://github.com/webdataset/webdataset. The index of shard lengths is that of its `wids`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import xxhash

from ilsvrc import facts
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import Placed, Plain, ShardFile, Written

_BLOCK = 512
_END = bytes(20 * _BLOCK)
"""Two blocks of zeros end a tar; GNU tar and Python's tarfile fill it up to 20 blocks."""


@dataclass(frozen=True, slots=True)
class WebDataset(Plain):
    """For each image `KEY.jpg`, `KEY.cls` with the label in digits, `KEY.json`; in the test split no `KEY.cls`.

    The key is the official file name without its ending. `KEY.json` has name, wnid, label, words, size and digest.
    """

    name: ClassVar[str] = "webdataset"
    shard_size: ClassVar[int] = 500_000_000
    whole: ClassVar[bool] = False

    def path(self, split: str, number: int, count: int) -> str:  # noqa: ARG002
        """Return `train-000012.tar`."""
        return f"{split}-{number:06}.tar"

    def write(self, file: ShardFile, samples: Iterable[Sample], split: str) -> Iterator[Placed]:  # noqa: ARG002
        """Write the members of each image, then the end of the tar."""
        for sample in samples:
            key, ending = sample.name.rpartition(".")[0], sample.ending
            label = b"" if sample.label is None else str(sample.label).encode()
            begin = file.append(*_member(f"{key}.{ending}", sample.data))
            if label:
                file.append(*_member(f"{key}.cls", label))
            file.append(*_member(f"{key}.json", _facts_of(sample)))
            yield Placed(sample, begin + _BLOCK)
        at = file.tell() + 2 * _BLOCK
        file.append(bytes(2 * _BLOCK + -at % len(_END)))

    def closing(self, splits: Mapping[str, Written]) -> dict[str, bytes]:
        """Return the index of each split for `wids`: shards, their images and bytes."""
        return {f"{split}-index.json": _index(split, written) for split, written in splits.items()}


def _facts_of(sample: Sample) -> bytes:
    """Return what `KEY.json` says of an image."""
    told: dict[str, Any] = {"name": sample.name}
    if sample.label is not None:
        synset = facts.classes()[sample.label]
        told |= {"wnid": synset.wnid, "label": sample.label, "words": synset.words}
    told |= {"size": len(sample.data), "xxh3_128": xxhash.xxh3_128_hexdigest(sample.data)}
    return json.dumps(told, ensure_ascii=False).encode()


def _index(split: str, written: Written) -> bytes:
    shards = [{"url": s.path, "nsamples": s.images, "filesize": s.size} for s in written.shards]
    document = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": split, "shardlist": shards}
    return (json.dumps(document, indent=1) + "\n").encode()


def _member(name: str, data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return header, contents and padding of a member: a plain file of POSIX's ustar form, of nobody, of no time."""
    encoded = name.encode()
    before, after = _template()
    header = b"".join((encoded, bytes(100 - len(encoded)), before, b"%011o\0" % len(data), after))
    header = header[:148] + b"%06o\0 " % sum(header) + header[156:]
    return header, data, bytes(-len(data) % _BLOCK)


@cache
def _template() -> tuple[bytes, bytes]:
    """Return what lies between name and size, and from the time to the end: the checksum is eight spaces."""
    before = b"0000444\0" + b"0000000\0" * 2
    after = b"%011o\0" % 0 + b" " * 8 + b"0" + bytes(100) + b"ustar\00000"
    return before, after + bytes(_BLOCK - 100 - len(before) - 12 - len(after))
