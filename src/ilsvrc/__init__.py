"""Every fact, label and byte of ILSVRC 2012 (ImageNet-1K), ready to train on.

The main verb is `prepare`; `index` and `check` serve it and stand alone.
"""

from ilsvrc.archive.index import Index, Member
from ilsvrc.archive.open import index
from ilsvrc.dataset.inplace import ImageNet
from ilsvrc.dataset.shuffle import BlockShuffle
from ilsvrc.errors import ArchiveError, DamageError, DataError, IlsvrcError, MachineError, UsageError
from ilsvrc.events import Advanced, Event, Finished, Note, Started
from ilsvrc.facts import (
    ArchiveSpec,
    ClassTable,
    Digest,
    LabelScheme,
    Synset,
    classes,
    convert,
    permutation,
    scheme,
    schemes,
    val_labels,
)
from ilsvrc.issues import Code, Issue
from ilsvrc.labels.detect import Detection, detect_scheme
from ilsvrc.pipeline.check import CheckOptions, check
from ilsvrc.pipeline.checkreport import CheckReport, PartReport
from ilsvrc.pipeline.options import PrepareOptions
from ilsvrc.pipeline.prepare import prepare
from ilsvrc.pipeline.relabel import Relabelling, relabel
from ilsvrc.pipeline.report import PrepareReport, SplitReport

__all__ = [
    "Advanced",
    "ArchiveError",
    "ArchiveSpec",
    "BlockShuffle",
    "CheckOptions",
    "CheckReport",
    "ClassTable",
    "Code",
    "DamageError",
    "DataError",
    "Detection",
    "Digest",
    "Event",
    "Finished",
    "IlsvrcError",
    "ImageNet",
    "Index",
    "Issue",
    "LabelScheme",
    "MachineError",
    "Member",
    "Note",
    "PartReport",
    "PrepareOptions",
    "PrepareReport",
    "Relabelling",
    "SplitReport",
    "Started",
    "Synset",
    "UsageError",
    "check",
    "classes",
    "convert",
    "detect_scheme",
    "index",
    "permutation",
    "prepare",
    "relabel",
    "scheme",
    "schemes",
    "val_labels",
]
