"""Read a split with MosaicML Streaming: label and digest of every image, in order.

`mds_.py ROOT SPLIT` reads the folder, `mds_.py ROOT SPLIT imagenet` does so by StreamingImageNet.
`mds_.py ROOT SPLIT CACHE` takes it for a remote folder: then the hash of every shard is compared, and its error is
what is printed. Each is a process of its own, since they share memory by the names of their folders.
"""

import hashlib
import json
import sys

from streaming import StreamingDataset
from streaming.vision import StreamingImageNet

root, split, way = (*sys.argv[1:], "")[:3]


def digest_of(image):
    """The digest of the bytes that Pillow was given; the image is decoded, which they must allow."""
    data = image.fp.getvalue()
    image.load()
    return hashlib.sha256(data).hexdigest()


try:
    if way == "imagenet":
        dataset = StreamingImageNet(local=root, split=split, batch_size=1, transform=lambda image: image)
        samples = (dataset[at] for at in range(len(dataset)))
    else:
        folders = {"remote": root, "local": way, "validate_hash": "xxh3_128"} if way else {"local": root}
        dataset = StreamingDataset(**folders, split=split, batch_size=1)
        samples = ((dataset[at]["x"], dataset[at]["y"]) for at in range(len(dataset)))
    told = [[label, digest_of(image)] for image, label in samples]
except ValueError as error:
    told = f"ValueError: {error}"

print(json.dumps(told))
