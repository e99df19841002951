"""What a user asked `prepare` for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ilsvrc.archive.find import SPLITS
from ilsvrc.errors import UsageError
from ilsvrc.run.engine import refuse_jobs
from ilsvrc.sinks.links import Link

VERIFY = ("md5", "sha256", "none")
SOURCE = ("keep", "delete")
LINK = tuple(map(str, Link))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The parameters of `prepare`, checked; see there."""

    splits: tuple[str, ...] | None = None
    layout: str = "wnid"
    classes: tuple[str, ...] | None = None
    verify: str = "md5"
    source: str = "keep"
    link: str = "auto"
    jobs: int | None = None
    restart: bool = False
    repair: bool = False
    val_labels: Path | str | None = None
    trust_val_labels: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (("verify", VERIFY), ("source", SOURCE), ("link", LINK)):
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} can't be {getattr(self, name)!r}", hint=f"use one of {', '.join(allowed)}")
        if self.splits is not None:
            object.__setattr__(self, "splits", tuple(dict.fromkeys(self.splits)))
            if not set(self.splits) <= set(SPLITS) or not self.splits:
                raise UsageError(f"there is no split {', '.join(self.splits)!r}", hint="use train, val or test")
        refuse_jobs(self.jobs)
        if self.source == "delete" and (self.verify == "none" or self.classes):
            hint = "archives are deleted only after all of them was verified and unpacked: leave out the other option"
            raise UsageError("source='delete' does not go with verify='none' or with some classes only", hint=hint)
