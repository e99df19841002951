"""Find out, before the start, whether every worker sees source and target and would write the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ilsvrc.errors import DataError, IlsvrcError, MachineError
from ilsvrc.readers.reader import Reader
from ilsvrc.readers.units import Transform
from ilsvrc.run.claim import Hold
from ilsvrc.run.engine import PoolEngine, worker_name
from ilsvrc.run.plan import Plan
from ilsvrc.version import __version__

LISTED = 3
"""Workers that a message names; it tells how many there are in all."""

_LOOKED_AT = 16
"""Images of a split that a worker is asked about: their files must be the driver's."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker says.

    worker : its host and process
    faults : why it can't do the work, one sentence each; none if it can
    """

    worker: str
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What every worker is asked; called there.

    claim : in the target
    images : of each split, a few images in the state in which the driver opened their files
    transform : what makes images anew, or None
    settings : what it does, as it is on the driver's machine
    version : of ilsvrc
    """

    claim: Hold
    images: tuple[Reader, ...]
    transform: Transform | None
    settings: object
    version: str = __version__

    def __call__(self) -> Answer:
        """Look, answer beside the claim, and say what is wrong."""
        faults = [*self._of_target(), *filter(None, map(_fault, self.images)), *self._of_software()]
        return Answer(worker_name(), tuple(faults))

    def _of_target(self) -> list[str]:
        folder = self.claim.path.parent
        if not folder.is_dir():
            return [f"it does not see {folder.parent}"]
        if not self.claim.holds():
            return [f"it sees another folder at {folder.parent}"]
        try:
            self.claim.answer(worker_name())
        except (OSError, MachineError) as error:
            return [f"it can't write to {folder.parent}: {getattr(error, 'strerror', error)}"]
        return []

    def _of_software(self) -> list[str]:
        if self.version != __version__:
            return [f"it has ilsvrc {__version__}, and the driver {self.version}"]
        if self.transform and self.transform.settings != self.settings:
            return ["it has other versions of the image libraries: its images would have other bytes"]
        return []


def refuse_unfit_workers(engine: PoolEngine, claim: Hold, plans: Sequence[Plan]) -> None:
    """Ask every worker that the engine has now; refuse to begin if one can't do the work.

    Raises
    ------
    MachineError
        It names the workers and says what each of them does not see.
    """
    transform = plans[0].transform if plans else None
    images = tuple(_some_images(plan) for plan in plans if len(plan.rows))
    question = Question(claim, images, transform, transform.settings if transform else None)
    answers = engine.answers(question)
    unfit = {name: fault for name, answer in answers.items() if (fault := _unfit(name, answer, claim))}
    if unfit:
        told = "; ".join(list(unfit.values())[:LISTED])
        more = f"; and {len(unfit) - LISTED:,} more" if len(unfit) > LISTED else ""
        detail = f"{len(unfit):,} of {len(answers):,} workers can't do the work: {told}{more}"
        hint = "SRC and DST must be one and the same on every machine, under the same path; nothing was changed"
        raise MachineError(detail, hint=hint)


def _some_images(plan: Plan) -> Reader:
    rows = np.linspace(0, len(plan.rows) - 1, min(_LOOKED_AT, len(plan.rows))).astype(np.int64)
    return plan.reader.part(plan.rows[np.unique(rows)])


def _fault(images: Reader) -> str:
    """Say in which way a source is not the driver's; empty if it is."""
    path = images.path
    if not path.exists():
        return f"it does not see {path}"
    try:
        images.require_unchanged()
    except DataError:
        return f"it sees another file at {path}: a copy, or a version that was changed since"
    except (OSError, IlsvrcError) as error:
        return f"it can't read {path}: {error}"
    return ""


def _unfit(name: str, answer: object, claim: Hold) -> str:
    """Return what is wrong with a worker, with its name; empty if nothing is."""
    if isinstance(answer, Exception) and "No module named 'ilsvrc" in str(answer):  # as a cluster passes it on
        return f"{name}: it has no ilsvrc: pip install ilsvrc=={__version__} there"
    if not isinstance(answer, Answer):
        return f"{name}: {type(answer).__name__}: {answer}"
    faults = answer.faults
    if not faults and not claim.answered(answer.worker):
        faults = (f"its files in {claim.path.parent.parent} are not seen by the driver",)
    who = answer.worker if name.startswith("call ") else f"{answer.worker} ({name})"
    return f"{who}: {', '.join(faults)}" if faults else ""
