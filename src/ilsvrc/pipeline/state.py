"""What a target already holds of a split, decided before anything is done to it."""

from __future__ import annotations

import json
import os
from enum import Enum, auto

from ilsvrc.tree.manifest import metadata_of, read_manifest
from ilsvrc.errors import UsageError
from ilsvrc.run.journal import Journal
from ilsvrc.run.plan import Plan
from ilsvrc.sinks.folder import FolderSink, class_index_json


class State(Enum):
    """Where a split stands."""

    FRESH = auto()
    """Nothing is there."""
    UNFINISHED = auto()
    """An interrupted run of this very plan: go on."""
    STALE = auto()
    """An interrupted run with these settings, from an archive that has changed since: its work can't be trusted."""
    OTHER = auto()
    """An interrupted run with other settings."""
    PUBLISHED = auto()
    """The split is there, whole, made from this archive with these settings."""
    OCCUPIED = auto()
    """Something else has the split's name."""
    OCCUPIED_LIST = auto()
    """Something else has the name of a list that goes beside the split."""


def provenance(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Return what the manifest of a split says of its making, by which a later run knows it again."""
    return (
        ("archive", plan.source.path.name),
        ("index", plan.index.fingerprint),
        ("settings", json.dumps(plan.settings, sort_keys=True)),
    )


def state_of(plan: Plan, sink: FolderSink, journal: Journal) -> State:
    """Return where the split of a plan stands in a target."""
    if os.path.lexists(sink.root / plan.split):
        return State.PUBLISHED if _made_by(plan, sink) else State.OCCUPIED
    begun = journal.plans(plan.split)
    if not begun or not (sink.staging / plan.split).exists():
        return State.FRESH if _lists_are_ours(plan, sink) else State.OCCUPIED_LIST
    if begun[-1]["plan"] == plan.digest:
        return State.UNFINISHED
    same_settings = all(begun[-1].get(key) == value for key, value in plan.settings.items())
    return State.STALE if same_settings else State.OTHER


def refuse_state(state: State, plan: Plan, sink: FolderSink) -> None:
    """Refuse to touch what this plan has no business with.

    Raises
    ------
    UsageError
        Saying what is there and what to do.
    """
    if state is State.OCCUPIED:
        detail = (
            f"{sink.root / plan.split} exists, and no manifest says that it was made from this archive, so laid out"
        )
        raise UsageError(detail, hint="choose another folder, or move it away; nothing was changed")
    if state is State.OCCUPIED_LIST:
        detail = f"{sink.root} has a {sink.labels.name} or {sink.classes.name} that ilsvrc did not write"
        raise UsageError(detail, hint="choose another folder, or move it away; nothing was changed")
    if state is State.OTHER:
        detail = f"{sink.root} holds an unfinished {plan.split} with other settings"
        hint = "run it again with the settings it was begun with, or add --restart to throw its work away"
        raise UsageError(detail, hint=hint)


def _made_by(plan: Plan, sink: FolderSink) -> bool:
    """Whether the split's manifest says that it was made by this plan, whatever was proved of the archive then."""
    try:
        return dict(provenance(plan)).items() <= metadata_of(read_manifest(sink.manifest)).items()
    except (OSError, ValueError):
        return False


def _lists_are_ours(plan: Plan, sink: FolderSink) -> bool:
    """Whether the lists beside the split are not there, or an interrupted run of this plan wrote them."""
    if (
        os.path.lexists(sink.classes)
        and sink.classes.read_text(encoding="utf-8", errors="replace") != class_index_json()
    ):
        return False
    return not os.path.lexists(sink.labels) or _made_by(plan, sink)
