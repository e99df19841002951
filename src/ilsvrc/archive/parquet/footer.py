"""The footer of a Parquet file: its columns, its row groups, and where the pages of each column begin.

pyarrow reads footers too, but its ColumnChunkMetaData ends the whole process, with no exception, where one with a
wrong size statistic is looked at. So what is needed is read here, and pyarrow gets files to read names from only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ilsvrc.archive.parquet.pages import FETCH_AGAIN, Chunk, damaged
from ilsvrc.archive.parquet.thrift import MalformedError, Struct, Value, read_struct
from ilsvrc.archive.source import ByteSource
from ilsvrc.errors import ArchiveError
from ilsvrc.issues import Code

MAGIC = b"PAR1"
"""The first and the last bytes of a Parquet file."""

BYTE_ARRAY = 6
"""Number of the physical type of strings and bytes in parquet.thrift."""

_LARGEST = 64 << 20
"""Bytes of a footer beyond which it is refused; those of the data set have some thousand."""

_TAIL = 8
_REQUIRED, _OPTIONAL, _REPEATED = range(3)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A column of values.

    path : names from the schema's root down, with dots between
    deepest : greatest definition level
    repeated : whether it lies in a list
    """

    path: str
    deepest: int
    repeated: bool


@dataclass(frozen=True, slots=True)
class Column:
    """A column in one row group.

    kind : number of the physical type
    plain : bytes of its pages once decompressed
    elsewhere : whether its pages are in another file
    chunk : where its pages are
    """

    kind: int
    plain: int
    elsewhere: bool
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Some rows of a file.

    rows : how many
    columns : by the paths of leaves
    """

    rows: int
    columns: dict[str, Column]


@dataclass(frozen=True, slots=True)
class Footer:
    """What a file says of itself.

    leaves : its columns
    groups : its row groups, in their order
    """

    leaves: tuple[Leaf, ...]
    groups: tuple[RowGroup, ...]


def read_footer(source: ByteSource) -> Footer:
    """Return a file's footer.

    Raises
    ------
    ArchiveError
        If it is no whole Parquet file.
    """
    start, data = _bytes(source)
    try:
        fields, _ = read_struct(data)
        leaves = tuple(_leaves(_list(fields, 2)))
        deepest = {leaf.path: leaf.deepest for leaf in leaves}
        groups = tuple(_group(_struct(group), deepest) for group in _list(fields, 4))
    except (MalformedError, IndexError, UnicodeDecodeError, RecursionError) as error:
        raise damaged(source, start, f"its footer can't be read: {error}") from None
    return Footer(leaves, groups)


def _bytes(source: ByteSource) -> tuple[int, bytes]:
    """Return where the footer begins, and its bytes; refuse what does not begin and end as a Parquet file does."""
    size = source.state.size
    if size < len(MAGIC) + _TAIL or source.read(0, len(MAGIC)) != MAGIC:
        detail = "not a Parquet file: it does not begin with PAR1"
        raise ArchiveError(Code.WRONG_FILE, detail, source.path, hint=FETCH_AGAIN)
    tail = source.read(size - _TAIL, _TAIL)
    if tail[4:] != MAGIC:
        detail = "a Parquet file that is cut short, or not yet complete: it does not end with PAR1"
        raise ArchiveError(Code.TRUNCATED_ARCHIVE, detail, source.path, hint=FETCH_AGAIN)
    length = int.from_bytes(tail[:4], "little")
    if length > min(size - len(MAGIC) - _TAIL, _LARGEST):
        raise damaged(source, size - _TAIL, f"a footer of {length:,} bytes")
    return size - _TAIL - length, source.read(size - _TAIL - length, length)


def _leaves(elements: list[Value]) -> Iterator[Leaf]:
    """Yield the columns of a schema, which is a tree in depth-first order; its root comes first."""
    nodes = iter(elements)

    def below(count: int, path: tuple[str, ...], deepest: int, repeated: bool) -> Iterator[Leaf]:
        for _ in range(count):
            element = next(nodes, None)
            if element is None:
                raise MalformedError("the schema ends too early")
            fields = _struct(element)
            kind = _number(fields, 3, _REQUIRED)
            inner = (*path, _text(fields, 4))
            level, listed = deepest + (kind != _REQUIRED), repeated or kind == _REPEATED
            children = _number(fields, 5, 0)
            if children > 0:
                yield from below(children, inner, level, listed)
            else:
                yield Leaf(".".join(inner), level, listed)

    root = next(nodes, None)
    yield from below(_number(_struct(root), 5, 0), (), 0, False)


def _group(fields: Struct, deepest: dict[str, int]) -> RowGroup:
    rows = _number(fields, 3)
    if rows < 0:
        raise MalformedError("a row group of fewer rows than none")
    columns = {}
    for value in _list(fields, 1):
        chunk = _struct(value)
        meta = _struct(chunk.get(3))
        path = ".".join(_as_text(name) for name in _list(meta, 3))
        starts = [start for start in (_number(meta, 9), _number(meta, 11, 0)) if start > 0]
        if path not in deepest:
            raise MalformedError("a column that is not in the schema")
        columns[path] = Column(
            _number(meta, 1),
            _number(meta, 6),
            bool(chunk.get(1)),
            Chunk(min(starts, default=0), _number(meta, 7), _number(meta, 5), _number(meta, 4), deepest[path]),
        )
    return RowGroup(rows, columns)


def _list(fields: Struct, field: int) -> list[Value]:
    found = fields.get(field)
    if not isinstance(found, list):
        raise MalformedError("a list is missing")
    return found


def _struct(value: Value) -> Struct:
    if not isinstance(value, dict):
        raise MalformedError("a struct is missing")
    return value


def _number(fields: Struct, field: int, default: int | None = None) -> int:
    found = fields.get(field, default)
    if not isinstance(found, int):
        raise MalformedError("a number is missing")
    return found


def _text(fields: Struct, field: int) -> str:
    return _as_text(fields.get(field))


def _as_text(value: Value) -> str:
    if not isinstance(value, bytes):
        raise MalformedError("a name is missing")
    return value.decode()
