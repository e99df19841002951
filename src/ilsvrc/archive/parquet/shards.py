"""Find the Parquet files of each split: in a folder as Hugging Face publishes it, in its hub's cache, or alone."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ilsvrc.archive.parquet.table import ImageTable
from ilsvrc.archive.remote import source_of
from ilsvrc.errors import ArchiveError, DamageError, UsageError
from ilsvrc.issues import Code, Issue
from ilsvrc.stores.path import Location, StorePath, fetch_folder, path_below

SUFFIX = ".parquet"

_NUMBERED = re.compile(r"(?P<prefix>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})\.parquet")
"""Names that `datasets` gives to the files of a split."""

_PREFIXES = {"train": "train", "validation": "val", "val": "val", "test": "test"}
_INNER = ("data", "default", "train", "validation", "val", "test")
"""Folders in which files lie: `data` in most repositories, `default/train` and so on where the hub converted them."""

_UNFINISHED = "*.incomplete"
"""Files that huggingface_hub downloads into, in its cache and in a folder given to it."""

_NAMED = 5
"""Missing files that an error names."""


@dataclass(frozen=True, slots=True)
class Shards:
    """The files of a split.

    split : train, val or test, as the first images of the first sound file say
    folder : where they lie
    files : those that are there, in their order
    missing : names of those that are not there, by the numbers in the names of the others
    unfinished : downloads that are not complete
    key : a path that names the split, whose folder an index is kept beside
    damaged : whether no file can be read, so that only their names tell the split
    """

    split: str
    folder: Location
    files: tuple[Location, ...]
    missing: tuple[str, ...]
    unfinished: tuple[Location, ...]
    key: Location
    damaged: bool = False

    @property
    def total(self) -> int:
        """How many files there should be."""
        return len(self.files) + len(self.missing)

    def require_complete(self) -> None:
        """Refuse a split of which files are missing.

        Raises
        ------
        DamageError
            Naming some, with an issue for each.
        """
        if not self.missing:
            return
        named = ", ".join(self.missing[:_NAMED]) + (" and others" if len(self.missing) > _NAMED else "")
        unfinished = len(self.unfinished)
        downloads = "1 download is" if unfinished == 1 else f"{unfinished:,} downloads are"
        begun = f"; {downloads} unfinished" if unfinished else ""
        message = f"{self.folder}: {len(self.files):,} of {self.total:,} files of {self.split} are there"
        issues = [
            Issue(str(self.folder / name), Code.MISSING_FILE, "it is not there, or not whole")
            for name in self.missing
        ]
        folder = self.folder.parent if self.folder.name == "data" else self.folder
        command = f"ilsvrc fetch --hf --split {self.split} --to {fetch_folder(folder)}"
        hint = f"`{command}` fetches what is missing; or give one file, to read it alone"
        raise DamageError(f"{message}; missing: {named}{begun} [{Code.MISSING_FILE}]", issues, hint=hint)


def find_shards(root: Location) -> list[Shards]:
    """Return the splits in Parquet files at a path, told by names, magic and the first image of one file of each.

    Parameters
    ----------
    root
        A file; the folder of the files, or one that holds it as `data`; or the hub's cache, or a data set in it.
    """
    if root.is_file():
        shards = _alone(root)
        return [shards] if shards else []
    found = []
    for folder, keys in _folders(root):
        found += [shards for shards in _in_folder(folder, keys) if shards]
    return found


def _alone(path: Location) -> Shards | None:
    """Return the split in one file; by its name, if it can't be read."""
    match, damaged = _NUMBERED.fullmatch(path.name), False
    try:
        split = _split((path,))
    except ArchiveError:
        split, damaged = _PREFIXES.get(match["prefix"]) if match else None, True
    return Shards(split, path.parent, (path,), (), (), path.absolute(), damaged) if split else None


def _folders(root: Location) -> Iterator[tuple[Location, Location]]:
    """Yield the folders in which files may lie, and for each the beginning of paths that name what is in it."""
    if (root / "snapshots").is_dir():
        yield from _snapshot(root)
        return
    caches = [base for base in (root, root / "hub") if base.is_dir()]
    for repository in sorted(path for base in caches for path in base.glob("datasets--*") if path.is_dir()):
        yield from _snapshot(repository)
    yield root, root
    for name in _INNER:
        if (root / name).is_dir():
            yield root / name, root / name
    for name in _INNER:
        if (root / "default" / name).is_dir():
            yield root / "default" / name, root / "default" / name


def _snapshot(repository: Location) -> Iterator[tuple[Location, Location]]:
    """Yield the folders of a data set in the hub's cache: those of the revision that is called main, else the newest.

    The cache keeps the index too, but beside the snapshots: what is in them is the hub's alone.
    """
    snapshots = [path for path in (repository / "snapshots").glob("*") if path.is_dir()]
    if not snapshots:
        return
    main = repository / "refs" / "main"
    named = main.read_text(encoding="ascii", errors="replace").strip() if main.is_file() else ""
    chosen = max(snapshots, key=lambda path: (path.name == named, _changed(path)))
    for folder, _ in _folders(chosen):
        inner = "-".join(path_below(folder, chosen).parts)
        yield folder, repository / "-".join(part for part in (chosen.name, inner) if part)


def _changed(folder: Location) -> int:
    """Return when a folder was changed, nanoseconds; 0 in a store, where no folder has a time."""
    return 0 if isinstance(folder, StorePath) else folder.stat().st_mtime_ns


def _in_folder(folder: Location, keys: Location) -> Iterator[Shards | None]:
    """Yield the splits whose files lie in a folder."""
    numbered: dict[tuple[str, int], dict[int, Location]] = {}
    others: dict[str, list[Location]] = {}
    try:
        files = sorted(
            path for path in folder.iterdir() if path.name.endswith(SUFFIX) and not path.name.startswith(".")
        )
    except OSError:
        return
    for path in files:
        match = _NUMBERED.fullmatch(path.name)
        if match and int(match["number"]) < int(match["total"]):
            numbered.setdefault((match["prefix"], int(match["total"])), {})[int(match["number"])] = path
        elif path.is_file():
            with contextlib.suppress(ArchiveError):
                split = _split((path,))
                others.setdefault(split, []).append(path) if split else None
    for (prefix, total), there in sorted(numbered.items()):
        yield _numbered(folder, keys, prefix, total, there)
    for split, paths in sorted(others.items()):
        yield Shards(split, folder, tuple(paths), (), (), _key(folder, keys, f"{split}{SUFFIX}"))


def _numbered(folder: Location, keys: Location, prefix: str, total: int, there: dict[int, Location]) -> Shards | None:
    """Return the split whose files are numbered, if it is one; a link into the hub's cache may lead to nothing."""
    files = tuple(path for _, path in sorted(there.items()) if path.is_file())
    damaged = False
    try:
        split = _split(files)
    except ArchiveError:
        split, damaged = _PREFIXES.get(prefix), True
    if not split:
        return None
    present = {path.name for path in files}
    names = (f"{prefix}-{number:05}-of-{total:05}{SUFFIX}" for number in range(total))
    missing = tuple(name for name in names if name not in present)
    unfinished = _unfinished(folder) if missing else ()
    key = _key(folder, keys, f"{prefix}-of-{total:05}{SUFFIX}")
    return Shards(split, folder, files, missing, unfinished, key, damaged)


def _key(folder: Location, keys: Location, name: str) -> Location:
    return folder / name if folder == keys else keys.with_name(f"{keys.name}-{name}")


def _unfinished(folder: Location) -> tuple[Location, ...]:
    """Return the downloads that huggingface_hub has begun: in `blobs`, or below `.cache` in the user's folder."""
    for base in (folder, *folder.parents[:4]):
        for place in (base / "blobs", base / ".cache" / "huggingface" / "download"):
            if place.is_dir():
                return tuple(sorted(place.rglob(_UNFINISHED)))
    return tuple(sorted(folder.glob(_UNFINISHED)))


def _split(files: tuple[Location, ...]) -> str | None:
    """Return the split of the images in the first sound file; None if they are none of the data set.

    Raises
    ------
    ArchiveError
        The fault of the first file, if none is sound.
    """
    fault: ArchiveError | None = None
    for path in files:
        source = None
        try:
            source = source_of(path)
            table = ImageTable(source)
            split = table.first_split()
            if split or table.rows:
                return split
        except ArchiveError as error:
            fault = fault or error
        except (UsageError, OSError):
            pass
        finally:
            if source:
                source.close()
    if fault:
        raise fault
    return None
