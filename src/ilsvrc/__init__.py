"""Every fact, label and byte of ILSVRC 2012 (ImageNet-1K), ready to train on.

The main verb is `prepare`; `index` and `check` serve it and stand alone.
"""

from ilsvrc.api import index
from ilsvrc.archive.index import Index, Member
from ilsvrc.errors import ArchiveError, DamageError, DataError, IlsvrcError, MachineError, UsageError
from ilsvrc.events import Advanced, Event, Finished, Note, Started
from ilsvrc.facts import ArchiveSpec, ClassTable, Digest, Synset, classes, val_labels
from ilsvrc.issues import Code, Issue
from ilsvrc.pipeline.options import PrepareOptions
from ilsvrc.pipeline.prepare import prepare
from ilsvrc.pipeline.report import PrepareReport, SplitReport

__all__ = [
    "Advanced",
    "ArchiveError",
    "ArchiveSpec",
    "ClassTable",
    "Code",
    "DamageError",
    "DataError",
    "Digest",
    "Event",
    "Finished",
    "IlsvrcError",
    "Index",
    "Issue",
    "MachineError",
    "Member",
    "Note",
    "PrepareOptions",
    "PrepareReport",
    "SplitReport",
    "Started",
    "Synset",
    "UsageError",
    "classes",
    "index",
    "prepare",
    "val_labels",
]
