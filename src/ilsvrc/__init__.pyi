from . import facts, testing
from .archive.index import Index, Member
from .archive.sidecar import index
from .check.check import check
from .check.overview import Overview
from .check.report import CheckReport, Compared, NotCompared, PartReport
from .dataset.imagenet import ImageNet
from .dataset.shuffle import BlockShuffle
from .digests import record_digests
from .errors import (
    ArchiveError,
    DamageError,
    DataError,
    IlsvrcError,
    LayoutError,
    MachineError,
    MissingExtraError,
    NetworkError,
    UsageError,
)
from .events import Advanced, Event, Finished, Listener, Note, Started
from .facts import (
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
from .fetch.verb import fetch
from .issues import Code, Issue
from .labels.detect import Detection, detect_scheme
from .prepare.prepare import prepare
from .prepare.report import PrepareReport, SplitReport, WorkerReport
from .relabel import Relabelling, relabel
from .testing.mini import write_mini
from .version import __version__

__all__ = [
    "Advanced",
    "ArchiveError",
    "ArchiveSpec",
    "BlockShuffle",
    "CheckReport",
    "ClassTable",
    "Code",
    "Compared",
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
    "LayoutError",
    "Listener",
    "MachineError",
    "Member",
    "MissingExtraError",
    "NetworkError",
    "NotCompared",
    "Note",
    "Overview",
    "PartReport",
    "PrepareReport",
    "Relabelling",
    "SplitReport",
    "Started",
    "Synset",
    "UsageError",
    "WorkerReport",
    "__version__",
    "check",
    "classes",
    "convert",
    "detect_scheme",
    "facts",
    "fetch",
    "index",
    "permutation",
    "prepare",
    "record_digests",
    "relabel",
    "scheme",
    "schemes",
    "testing",
    "val_labels",
    "write_mini",
]
