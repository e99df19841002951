"""A log in a store: objects are never appended to, so each piece of text is an object of its own, by number."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ilsvrc.errors import MachineError
from ilsvrc.stores.client import AT_ONCE, Entry
from ilsvrc.stores.path import StorePath


def allowed() -> None:
    """Refuse nothing."""


class StoreLog:
    """Text that grows, in the objects `00000000.jsonl`, `00000001.jsonl` and so on of a folder.

    An object is whole or absent, so no line is ever torn. A second writer, which had the same number in mind, is
    refused by the server.

    Parameters
    ----------
    folder
        Holds the objects.
    allow
        Called before anything is written; raises if this process may not.
    """

    def __init__(self, folder: StorePath, allow: Callable[[], None] = allowed) -> None:
        self._folder = folder
        self._allow = allow
        self._read: dict[Entry, str] = {}

    def read(self) -> str:
        """Return all text."""
        entries = self._entries()
        new = [entry for entry in entries if entry not in self._read]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            texts = list(pool.map(lambda entry: self._folder.bucket.whole(entry.key), new))
        self._read |= {entry: data.decode("utf-8", "replace") for entry, data in zip(new, texts, strict=True)}
        return "".join(self._read[entry] for entry in entries)

    def append(self, text: str) -> None:
        """Append some lines, durably.

        Raises
        ------
        MachineError
            If another process appends to it too.
        """
        self._allow()
        last = max((int(key.rpartition("/")[2].partition(".")[0]) for key in self._keys()), default=-1)
        path = self._folder / f"{last + 1:08}.jsonl"
        data = text.encode()
        try:
            path.bucket.put(path.key, data, new=True)
        except FileExistsError:
            if path.read_bytes() == data:  # the request was repeated: its first answer was lost
                return
            hint = "wait for it to end, or stop it, then run the same command again: it resumes"
            raise MachineError(f"{self._folder.parent.parent} is written to by another run", hint=hint) from None

    def replace(self, text: str) -> None:
        """Put other text in the place of all: the new first, so that lines may be there twice for a while."""
        before = self._keys()
        if text:
            self.append(text)
        self._allow()
        if before:
            self._folder.bucket.delete(before)

    def _keys(self) -> list[str]:
        return [entry.key for entry in self._entries()]

    def _entries(self) -> list[Entry]:
        """Return the objects, in order."""
        return [entry for entry in self._folder.entries() if entry.state is not None and _is_number(entry.key)]


def _is_number(key: str) -> bool:
    name = key.rpartition("/")[2]
    return name.removesuffix(".jsonl").isdecimal() and name.endswith(".jsonl")
