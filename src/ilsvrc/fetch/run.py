"""The verb: from a request to verified archives on disk."""

from __future__ import annotations

from ilsvrc.events import Listener, silent
from ilsvrc.fetch.aria2 import Aria2
from ilsvrc.fetch.job import Job
from ilsvrc.fetch.options import engine_settings
from ilsvrc.fetch.part import locked
from ilsvrc.fetch.request import FetchReport, FetchRequest
from ilsvrc.fetch.sources import plan, wanted
from ilsvrc.fetch.survey import Survey, check_space
from ilsvrc.fetch.torrents import expand, read_torrent


def fetch(request: FetchRequest, listener: Listener = silent) -> FetchReport:
    """Bring the archives of a request into its folder, each verified under its final name.

    What is there and right is not fetched again, whoever brought it. Interrupted at any moment, by whatever, the
    same call goes on where it stopped.

    Raises
    ------
    UsageError
        No source for an archive, or a login that a server refuses.
    ArchiveError
        The sources hold a wrong file: a web page, another size, another digest (twice).
    NetworkError, MachineError
        No byte came for as long as `limits.patience`; no space; another fetch in the folder; no aria2c.
    """
    request.folder.mkdir(parents=True, exist_ok=True)
    settings = engine_settings(request.credentials, request.limits)
    with locked(request.folder) as lock, Aria2(settings, lock=lock) as engine:
        torrents = [read_torrent(engine, s, request, listener) for s in expand(request.torrents, wanted(request))]
        jobs = [Job(engine, sources, request, listener) for sources in plan(request, torrents)]
        looks = [job.look() for job in jobs]
        check_space(request.folder, [found for found in looks if isinstance(found, Survey)])
        there = (
            job.bring(found) if isinstance(found, Survey) else found for job, found in zip(jobs, looks, strict=True)
        )
        return FetchReport(tuple(there))
