"""Every fact, label and byte of ILSVRC 2012 (ImageNet-1K), ready to train on."""

from ilsvrc.facts import ClassTable, LabelScheme, Synset, classes, convert, permutation, scheme, schemes, val_labels
from ilsvrc.labels.detect import Detection, detect_scheme

__all__ = [
    "ClassTable",
    "Detection",
    "LabelScheme",
    "Synset",
    "classes",
    "convert",
    "detect_scheme",
    "permutation",
    "scheme",
    "schemes",
    "val_labels",
]
