"""Read the packaged tables; data/README.md says where each comes from."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources


def read_bytes(name: str) -> bytes:
    """Return a packaged file as it is."""
    return resources.files("ilsvrc.facts").joinpath("data", name).read_bytes()


def read_rows(name: str) -> Iterator[dict[str, str]]:
    """Yield each row of a packaged table by the names in its first line; an empty cell is an empty string."""
    header, *lines = read_bytes(name).decode().splitlines()
    columns = header.split("\t")
    for line in lines:
        yield dict(zip(columns, line.split("\t"), strict=True))
