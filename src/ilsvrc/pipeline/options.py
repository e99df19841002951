"""What a user may choose about `prepare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ilsvrc.errors import UsageError

VERIFY = ("md5", "sha256", "none")
SOURCE = ("keep", "delete")


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """How to prepare.

    splits : which of train, val and test, where their archives are there
    layout : wnid, index, padded, flat, or a template
    classes : wnids, indices or words; None for all
    verify : md5, sha256 or none
    source : keep the archives, or delete each once its split is durable and checked
    jobs : processes; None for one a processor
    restart : throw away an unfinished run that was made with other settings
    val_labels : file with the labels of validation images, in any form; None for the packaged truth
    trust_val_labels : take that file at its word where it disagrees with the truth
    """

    splits: tuple[str, ...] = ("train", "val")
    layout: str = "wnid"
    classes: tuple[str, ...] | None = None
    verify: str = "md5"
    source: str = "keep"
    jobs: int | None = None
    restart: bool = False
    val_labels: Path | str | None = None
    trust_val_labels: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "splits", tuple(dict.fromkeys(self.splits)))
        for name, allowed in (("verify", VERIFY), ("source", SOURCE)):
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} can't be {getattr(self, name)!r}", hint=f"use one of {', '.join(allowed)}")
        if not set(self.splits) <= {"train", "val", "test"} or not self.splits:
            raise UsageError(f"there is no split {', '.join(self.splits)!r}", hint="use train, val or test")
        refuse_jobs(self.jobs)
        if self.source == "delete" and (self.verify == "none" or self.classes):
            hint = "archives are deleted only after all of them was verified and unpacked: leave out the other option"
            raise UsageError("source='delete' does not go with verify='none' or with some classes only", hint=hint)


def refuse_jobs(jobs: int | None) -> None:
    """Refuse a number of processes that can't do anything."""
    if jobs is not None and jobs < 1:
        raise UsageError(f"{jobs} jobs can't do anything", hint="give 1 or more")
