"""One split on its way from an archive to a tree."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ilsvrc.archive import verified
from ilsvrc.archive.expected import SUMS_FILES, Expected, expected
from ilsvrc.archive.verified import Verified
from ilsvrc.tree.manifest import metadata_of, read_manifest
from ilsvrc.errors import ArchiveError, DamageError, UsageError
from ilsvrc.events import Listener, Note
from ilsvrc.files import OWN_FOLDER, sync_filesystem
from ilsvrc.issues import Code, Issue
from ilsvrc.run.engine import default_jobs, process_engine
from ilsvrc.run.journal import Journal
from ilsvrc.pipeline.options import PrepareOptions
from ilsvrc.run.plan import Plan
from ilsvrc.run.proof import HashingProof, NoProof, Proof
from ilsvrc.prepare.report import SplitReport, published_report, split_report
from ilsvrc.run.loop import Machinery, run
from ilsvrc.pipeline.state import State, provenance, refuse_state, state_of
from ilsvrc.sinks.folder import FolderSink


@dataclass(frozen=True)
class SplitWork:
    """A plan, the tree it is for, and the user's choices.

    plan : what to write
    target : the tree's folder
    options : the user's choices
    listener : gets progress and notes
    """

    plan: Plan
    target: Path
    options: PrepareOptions
    listener: Listener

    @cached_property
    def sink(self) -> FolderSink:
        """What writes the tree."""
        return FolderSink(self.target, self.plan.split, provenance(self.plan))

    @cached_property
    def journal(self) -> Journal:
        """What remembers finished units."""
        return Journal(self.target / OWN_FOLDER / "journal.jsonl")

    @cached_property
    def state(self) -> State:
        """Where the split stood when this run began."""
        return state_of(self.plan, self.sink, self.journal)

    @cached_property
    def proved_before(self) -> Verified | None:
        """What was proved of the archive before, by the algorithm asked for."""
        proved = verified.recorded(self.plan.source.path) if self.options.verify != "none" else None
        return proved if proved and proved.digest.startswith(f"{self.options.verify}:") else None

    @cached_property
    def expected(self) -> Expected | None:
        """The digest to prove, or None where it is proved already or must not be."""
        if self.options.verify == "none" or self.proved_before:
            return None
        found = expected(self.plan.source, self.options.verify)
        if found is None:
            path, sums = self.plan.source.path, SUMS_FILES[self.options.verify]
            detail = (
                f"not the official archive, and no {sums} beside it says what its {self.options.verify} should be"
            )
            hint = f"put {sums} beside it (`{self.options.verify}sum {path.name} > {sums}`), or use --verify none"
            raise ArchiveError(Code.NO_DIGEST, detail, path, hint=hint)
        return found

    def admit(self) -> None:
        """Refuse what can't be done, before anything is written.

        Raises
        ------
        IlsvrcError
            If the target holds something else, the archive has no digest to prove, or must not be deleted.
        """
        state = self.state
        if state is not State.OTHER or not self.options.restart:
            refuse_state(state, self.plan, self.sink)
        if self.options.source == "delete":
            self._refuse_to_delete()
        if state is not State.PUBLISHED:
            _ = self.expected

    def clear_the_way(self) -> None:
        """Throw away the work of an interrupted run that can't be gone on with, or is not to be."""
        if self.state is State.PUBLISHED:
            self.sink.clear()
        elif self.state in (State.STALE, State.OTHER) or (self.state is State.UNFINISHED and self.options.restart):
            self.listener(
                Note(f"{self.plan.split}: starting over; what an earlier run had done is removed", warning=True)
            )
            self._start_over()

    def done_units(self) -> set[str]:
        """Return the units that need no space any more."""
        going_on = self.state is State.UNFINISHED and not self.options.restart
        return self.journal.done_units(self.plan.digest) if going_on else set()

    def do(self) -> SplitReport:
        """Bring the split to the tree, or find it there; return its report."""
        if self.state is State.PUBLISHED:
            return self._find()
        if self.state is State.FRESH:
            self._start_over()
        begun = time.monotonic()
        try:
            result = run(self.plan, self.sink, self._machinery())
        except ArchiveError as error:
            if error.code in (Code.WRONG_DIGEST, Code.WRONG_FILE):
                self._start_over()  # what was written came from bytes that are not to be trusted
            raise
        return split_report(self.plan, result, time.monotonic() - begun)

    def _find(self) -> SplitReport:
        """Return the report of a split that is there already."""
        manifest = read_manifest(self.sink.manifest)
        report = published_report(self.plan, manifest, self.journal.issues(self.plan.split))
        unproved = "" if report.digest else "; it was made without proof of the archive's digest"
        self.listener(Note(f"{self.plan.split}: complete already{unproved}", warning=bool(unproved)))
        return report

    def delete_archive(self) -> None:
        """Remove the archive, once all of it is durable below the split's name.

        Raises
        ------
        DamageError
            If an image is not there at its size; the archive is kept then.
        """
        missing = self._missing()
        if missing:
            raise DamageError(f"{self.plan.source.path} is kept: its images are not all in the tree", missing)
        sync_filesystem(self.target)
        self.plan.source.path.unlink()
        self.listener(Note(f"deleted {self.plan.source.path}: every image is in {self.target / self.plan.split}"))

    def _machinery(self) -> Machinery:
        engine = process_engine(self.options.jobs or default_jobs())
        return Machinery(engine, self.journal, self._proof(), self.listener)

    def _proof(self) -> Proof:
        if self.expected:
            return HashingProof(self.plan.source, self.expected, self.listener)
        return NoProof(self.proved_before)

    def _refuse_to_delete(self) -> None:
        """Refuse to delete what nothing proved, and what is not the archive itself."""
        path = self.plan.source.path
        if path.is_symlink():
            detail = f"{path} is a link: deleting it would leave the archive where it is"
            raise UsageError(detail, hint="give the folder that holds the archive itself; nothing was changed")
        if self.state is State.PUBLISHED and "digest" not in metadata_of(read_manifest(self.sink.manifest)):
            detail = f"{self.target / self.plan.split} was made without proof of the archive's digest: {path} is kept"
            raise UsageError(detail, hint="prepare it again into another folder, with --verify md5")

    def _start_over(self) -> None:
        """Throw away what staging holds of the split: it is ours, unfinished, and not to be gone on with."""
        self.sink.clear()
        self.journal.forget(self.plan.split)
        (self.sink.staging / self.plan.split).mkdir(parents=True)

    def _missing(self) -> list[Issue]:
        table = read_manifest(self.sink.manifest)
        rows = zip(table.column("path").to_pylist(), table.column("size").to_pylist(), strict=True)
        return [
            Issue(path, Code.MISSING_IMAGE, f"it should have {size:,} bytes")
            for path, size in rows
            if not (self.target / path).is_file() or (self.target / path).stat().st_size != size
        ]
