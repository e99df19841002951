"""The facts of ILSVRC 2012: classes, labels, archives and published anomalies, read from packaged tables.

No file of the user's is read here. A fact stands in a table, with its source in data/README.md, never in the code.
"""

from ilsvrc.facts.archives import (
    DEVKIT,
    TEST,
    TRAIN,
    VAL,
    ArchiveSpec,
    Digest,
    academic_magnet,
    archive_with_digest,
    archives,
    infohashes,
    known_by_size,
    official,
    official_url,
    urls,
)
from ilsvrc.facts.class_lists import ClassList, class_list, class_lists, detection_wnids
from ilsvrc.facts.classes import ClassTable, Synset, classes
from ilsvrc.facts.hierarchy import Hierarchy, hierarchy
from ilsvrc.facts.images import anomalies, val_blacklist, val_labels
from ilsvrc.facts.schemes import LabelScheme, convert, permutation, scheme, schemes
from ilsvrc.facts.torchvision import TORCHVISION_META, torchvision_meta

__all__ = [
    "DEVKIT",
    "TEST",
    "TORCHVISION_META",
    "TRAIN",
    "VAL",
    "ArchiveSpec",
    "ClassList",
    "ClassTable",
    "Digest",
    "Hierarchy",
    "LabelScheme",
    "Synset",
    "academic_magnet",
    "anomalies",
    "archive_with_digest",
    "archives",
    "class_list",
    "class_lists",
    "classes",
    "convert",
    "detection_wnids",
    "hierarchy",
    "infohashes",
    "known_by_size",
    "official",
    "official_url",
    "permutation",
    "scheme",
    "schemes",
    "torchvision_meta",
    "urls",
    "val_blacklist",
    "val_labels",
]
