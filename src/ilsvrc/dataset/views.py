"""Lists that are worked out as they are read: a million entries that take no memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, overload

import numpy as np
import numpy.typing as npt

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
        return self._item(place(index, self._length))

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


def place(index: int, length: int) -> int:
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
