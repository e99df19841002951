"""The verb: archives into a folder, each verified."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ilsvrc.errors import UsageError, system_errors
from ilsvrc.events import Listener, silent
from ilsvrc.fetch.archives import fetch_request
from ilsvrc.fetch.credentials import Credentials
from ilsvrc.fetch.metalink import with_metalinks
from ilsvrc.fetch.request import MOST_CONNECTIONS, FetchReport, FetchRequest, Limits
from ilsvrc.fetch.sources import file_name
from ilsvrc.fetch.torrents import ACADEMIC
from ilsvrc.paths import given_path


@system_errors()
def fetch(  # noqa: PLR0913  -- a verb's choices, each with its name
    *archives: str,
    to: Path | str,
    origin: str | None = None,
    splits: Iterable[str] = (),
    revision: str | None = None,
    urls: Iterable[str] = (),
    torrents: Iterable[str] = (),
    metalinks: Iterable[Path | str] = (),
    cookies: Path | str | None = None,
    headers: Iterable[str] = (),
    netrc: Path | str | None = None,
    connections: int = MOST_CONNECTIONS,
    max_speed: int = 0,
    seed_ratio: float = 0.0,
    patience: float = 300.0,
    dht: bool = True,
    listener: Listener = silent,
) -> FetchReport:
    """Fetch archives into a folder, verify each, and give it its official name.

    An archive that is on disk and right is not fetched again, whoever put it there. After any interruption the same
    call resumes where it stopped.

    Parameters
    ----------
    archives
        `train`, `val`, `test`, `devkit` or official file names; if none is named, those that the sources
        name, or else train, val and devkit.
    to
        The folder for the archives; it is created if it does not exist.
    origin
        None for official archives; `hf` for the Parquet files of Hugging Face, in the subfolder `data`; `kaggle` for
        the zip of Kaggle's competition. A hub takes the login from the places that its own client uses.
    splits
        With `hf`: the splits to fetch, of `train`, `val` and `test`; train and val by default.
    revision
        With `hf`: a branch, a tag or a commit; `main` by default.
    urls
        Servers of the archives; several of one archive are used together.
    torrents
        Torrent files, magnet links, or `academic` for the copies of Academic Torrents.
    metalinks
        Metalink files, which list servers.
    cookies
        A cookies file as browsers' extensions export it (Netscape format).
    headers
        Whole header lines, such as "Authorization: Bearer ..."; only the server of the URL sees them.
    netrc
        A netrc file; it must be readable by its owner alone.
    connections
        Connections to all servers of one archive together, 1 to 16.
    max_speed
        Bytes per second, 0 for no limit.
    seed_ratio
        Upload this share of an archive to other peers once it is verified; 0 for none.
    patience
        Seconds to keep trying while no byte arrives.
    dht
        Find peers without a tracker.
    listener
        Called with every event: progress and notes.

    Examples
    --------
    >>> import ilsvrc
    >>> ilsvrc.fetch("train", "val", to="/data/archives", torrents=["academic"])  # doctest: +SKIP
    >>> ilsvrc.fetch(to="/data/hf", origin="hf", splits=["val"])  # doctest: +SKIP

    Raises
    ------
    UsageError
        No source for an archive, a login that a server or a hub refuses, or choices that exclude each other.
    ArchiveError
        The sources have a wrong file: a web page, another size, another digest (twice).
    NetworkError, MachineError
        No byte came for `patience` seconds; no space; another fetch in the folder; no aria2c, no client of the hub.
    """
    folder, limits = given_path(to, "the folder"), Limits(connections, max_speed, seed_ratio, patience, dht)
    names, revision = _several(splits), revision or None
    if origin != "hf" and (names or revision):
        hint = "name archives instead, or fetch from Hugging Face (--hf)"
        raise UsageError("only Hugging Face has splits and revisions", hint=hint)
    if origin is not None:
        elsewhere = (archives, urls, torrents, metalinks, cookies, headers, netrc, seed_ratio)
        if any(elsewhere):
            hint = "leave out archives, URLs, torrents, Metalink files, logins and seeding"
            raise UsageError("a hub is a source of its own", hint=hint)
        if origin == "hf":
            from ilsvrc.fetch.hubs.huggingface import fetch_dataset

            return fetch_dataset(folder, names, revision or "main", limits, listener)
        if origin == "kaggle":
            from ilsvrc.fetch.hubs.kaggle import fetch_competition

            return fetch_competition(folder, limits, listener)
        raise UsageError(f"no hub is called {origin!r}", hint="hf, or kaggle")
    request = FetchRequest(
        folder=folder,
        names=tuple(file_name(word) for word in archives),
        urls=_several(urls),
        torrents=tuple(map(_torrent, _several(torrents))),
        credentials=Credentials(
            _path(cookies, "the cookies file"), _several(headers), _path(netrc, "the netrc file")
        ),
        limits=limits,
    )
    paths = [metalinks] if isinstance(metalinks, (str, Path)) else metalinks
    return fetch_request(with_metalinks(request, [given_path(p, "the Metalink file") for p in paths]), listener)


def _path(path: Path | str | None, name: str) -> Path | None:
    return None if path is None else given_path(path, name)


def _torrent(source: str) -> str:
    """Return a magnet link or `academic` unchanged, and the path of a torrent file with `~` expanded."""
    return source if source == ACADEMIC or source.startswith("magnet:") else str(given_path(source, "the torrent"))


def _several(words: Iterable[str]) -> tuple[str, ...]:
    """Return the words as a tuple; a single word may be given without a list around it."""
    return (words,) if isinstance(words, str) else tuple(words)
