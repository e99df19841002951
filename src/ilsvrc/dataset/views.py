"""Lists whose entries are made when they are read: 1.28 million paths would take 200 MB and seconds."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, SupportsIndex, TypeVar, overload

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
_SHOWN = 3


class View(Sequence[T]):
    """A read-only list of `length` entries, each made by `item` when it is read; a slice is a real list."""

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

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise TypeError("this list can't be changed in place: change a copy, list(...), and assign the copy")

    def __add__(self, other: object) -> list[Any]:
        return [*self, *other] if isinstance(other, Sequence) else NotImplemented

    def __radd__(self, other: object) -> list[Any]:
        return [*other, *self] if isinstance(other, Sequence) else NotImplemented

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:_SHOWN]))
        return f"[{shown}{', ...' if len(self) > _SHOWN else ''}] ({len(self):,} entries)"


class Numbers(View[int]):
    """A view of integers that NumPy converts to an array of int64 at once."""

    def __init__(self, array: Callable[[], npt.NDArray[np.int64]], length: int, item: Callable[[int], int]) -> None:
        super().__init__(length, item)
        self._array = array

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[np.int64]:
        if copy is False:
            raise ValueError("the numbers are computed, so an array of them is always a copy")
        return self._array().astype(np.int64 if dtype is None else dtype, copy=False)


def position(index: SupportsIndex, length: int) -> int:
    """Return an index into a list of this length as a number from 0; negative ones count from the end.

    Raises
    ------
    IndexError
        If the index is out of range.
    """
    at = operator.index(index)
    if -length <= at < 0:
        return at + length
    if not 0 <= at < length:
        raise IndexError(f"index {at} of {length:,} images")
    return at
