"""The meta.bin that torchvision.datasets.ImageNet wants beside train and val."""

from __future__ import annotations

import bz2

from ilsvrc.facts.tables import read_bytes

TORCHVISION_META = "meta.bin"
"""Its name, in the folder that has train and val."""


def torchvision_meta() -> bytes:
    """Return meta.bin, byte for byte as torchvision writes it from the genuine devkit.

    With it in a tree of wnid folders `torchvision.datasets.ImageNet(root)` opens the tree without the archives and
    without the devkit. It is what `torch.save` makes of the words of each wnid and the wnid of each validation image;
    nothing of torch is needed to copy it. 304 KB.
    """
    return bz2.decompress(read_bytes("torchvision_meta.bin.bz2"))
