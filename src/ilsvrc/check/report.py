"""What `check` found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ilsvrc.issues import Issue, damage


@dataclass(frozen=True, slots=True)
class PartReport:
    """What was found in one split of a tree, or in one archive.

    where : folder or archive
    split : train, val or test
    layout : of a tree: wnid, index, padded, flat, a template or unknown; `archive` of an archive
    images, classes, bytes : what is there
    against : what it was compared with, or None if nothing says what should be there
    order : what a reader of sorted folder names makes of it, in words; empty for archives
    digest : of an archive: the digest that was proved, now or before; else None
    issues : what is wrong or unusual
    """

    where: str
    split: str
    layout: str
    images: int
    classes: int
    bytes: int
    against: str | None
    order: str
    digest: str | None
    issues: tuple[Issue, ...]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `check` found at a path.

    path : what was checked
    deep : whether every image was read and decoded
    parts : one for every split or archive
    """

    path: str
    deep: bool
    parts: tuple[PartReport, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no damage."""
        return not self.damage

    @property
    def damage(self) -> list[Issue]:
        """Every issue that is not merely unusual."""
        return [issue for part in self.parts for issue in damage(part.issues)]

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {"ok": self.ok, **asdict(self)}
