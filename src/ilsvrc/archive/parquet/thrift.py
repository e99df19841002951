"""Read a struct of Thrift's compact protocol: footers of Parquet files and headers of their pages are written in it.

Parquet libraries for Python read these headers, but none says where a page lies. The protocol is described in
Thrift's doc/specs/thrift-compact-protocol.md. Maps and doubles are passed over: nobody needs them here.
"""

from __future__ import annotations

Value = bool | int | bytes | dict[int, "Value"] | list["Value"] | None
"""A field's value; None for maps and doubles."""

Struct = dict[int, Value]
"""The fields of a struct by their number."""

_DEEPEST = 8
"""Structs within structs: a page header has three levels."""

_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(13)


class MalformedError(ValueError):
    """The bytes are no struct of the compact protocol."""


class ShortError(MalformedError):
    """The bytes end within the struct: with more of them it may be one."""


def read_struct(data: bytes, at: int = 0) -> tuple[Struct, int]:
    """Return the struct that begins at a byte of `data`, and the byte after its end.

    Raises
    ------
    MalformedError
        If there is none; ShortError if the bytes end within it.
    """
    reader = _Reader(data, at)
    try:
        return reader.struct(0), reader.at
    except IndexError:
        raise ShortError("the bytes end within a struct") from None


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the unsigned number that begins at a byte of `data`, and the byte after its end.

    Raises
    ------
    MalformedError
        If it has more than 64 bits.
    IndexError
        If the bytes end within it.
    """
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise MalformedError("a number has more than 64 bits")


class _Reader:
    """Reads on from a place in bytes; IndexError where they end."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at

    def struct(self, depth: int) -> Struct:
        """Read fields up to the one that ends the struct."""
        if depth > _DEEPEST:
            raise MalformedError("too many structs within structs")
        fields: Struct = {}
        number = 0
        while True:
            byte = self._byte()
            kind, delta = byte & 0x0F, byte >> 4
            if kind == _STOP:
                return fields
            number = number + delta if delta else self._signed()
            fields[number] = self._field(kind, depth)

    def _field(self, kind: int, depth: int) -> Value:
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        return self._value(kind, depth)

    def _value(self, kind: int, depth: int) -> Value:
        if kind in (_I16, _I32, _I64):
            return self._signed()
        if kind == _BINARY:
            return self._bytes(self._number())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_BYTE, _TRUE, _FALSE):  # in a list a boolean takes a byte
            return self._byte()
        if kind == _DOUBLE:
            self._bytes(8)
            return None
        if depth > _DEEPEST:
            raise MalformedError("too many lists within lists")
        if kind in (_LIST, _SET):
            byte = self._byte()
            return self._values(byte >> 4 if byte >> 4 != 15 else self._number(), (byte & 0x0F,), depth)
        if kind == _MAP:
            count = self._number()
            byte = self._byte() if count else 0
            self._values(count, (byte >> 4, byte & 0x0F), depth)
            return None
        raise MalformedError(f"there is no type {kind}")

    def _values(self, count: int, kinds: tuple[int, ...], depth: int) -> list[Value]:
        """Read the values of a list, or keys and values of a map."""
        if count and _STOP in kinds:
            raise MalformedError("a list of nothing")
        # every value takes a byte at least, so the end of the bytes ends this
        return [self._value(kind, depth + 1) for _ in range(count) for kind in kinds]

    def _byte(self) -> int:
        byte = self._data[self.at]
        self.at += 1
        return byte

    def _number(self) -> int:
        value, self.at = varint(self._data, self.at)
        return value

    def _signed(self) -> int:
        value = self._number()
        return (value >> 1) ^ -(value & 1)

    def _bytes(self, length: int) -> bytes:
        end = self.at + length
        if end > len(self._data):
            raise IndexError(end)
        found = self._data[self.at : end]
        self.at = end
        return found
