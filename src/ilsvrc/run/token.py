"""The token of a run: a file in the target's folder that is there for as long as the run is.

It tells a worker on another machine that it sees the target, and that the run whose unit it takes is not over.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ilsvrc.errors import MachineError
from ilsvrc.files import make_own_folder, open_own, read_own
from ilsvrc.stores.path import Location, StorePath

_NAME = re.compile(r"token-[0-9a-f]{16}(\..*)?")


@dataclass(frozen=True, slots=True)
class Token:
    """A token.

    path : the file
    text : its contents
    """

    path: Location
    text: str

    def is_there(self) -> bool:
        """Whether this process sees the file, with these contents."""
        try:
            text = self.path.read_text() if isinstance(self.path, StorePath) else read_own(self.path)
        except OSError:
            return False
        return text == self.text

    def answer(self, name: str) -> None:
        """Write a file beside the token, by which the driver sees that this process can write there."""
        with contextlib.suppress(FileExistsError):  # it answered before
            _write(self._answer(name), self.text)

    def answered(self, name: str) -> bool:
        """Whether this process sees such an answer."""
        return Token(self._answer(name), self.text).is_there()

    def require(self) -> None:
        """Refuse to work for a run that is over: its driver died, and another may have taken up its work.

        Raises
        ------
        MachineError
            If the token is not there.
        """
        if not self.is_there():
            detail = f"the run that this unit is of is over: {self.path} is not there"
            raise MachineError(detail, hint="run the same command again: it resumes")

    def _answer(self, name: str) -> Location:
        return self.path.with_name(f"{self.path.name}.{name}")


@contextlib.contextmanager
def issued(folder: Location) -> Iterator[Token]:
    """Write a token for as long as the block lasts; remove those of earlier runs, which are over.

    Parameters
    ----------
    folder
        The target's `.ilsvrc`; the caller holds the target's lock.
    """
    if isinstance(folder, Path):
        make_own_folder(folder)
    revoke(folder)
    token = Token(folder / f"token-{secrets.token_hex(8)}", secrets.token_hex(16))
    _write(token.path, token.text)
    try:
        yield token
    finally:
        revoke(folder)


def revoke(folder: Location) -> None:
    """Remove the tokens of runs that are over: workers of theirs that are still there take no more units.

    Parameters
    ----------
    folder
        The target's `.ilsvrc`; the caller holds the target's lock.
    """
    for path in folder.iterdir():
        if _NAME.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _write(path: Location, text: str) -> None:
    if isinstance(path, StorePath):
        path.bucket.put(path.key, text.encode(), new=True)
        return
    with open(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w", encoding="ascii") as file:
        file.write(text)
