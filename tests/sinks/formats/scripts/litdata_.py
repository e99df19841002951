"""Read a split with LitData: label and digest of every image in order; and how it decodes each, by default.

`litdata_.py ROOT SPLIT`. The bytes are what its jpeg serializer is given.
"""

import hashlib
import json
import sys
from pathlib import Path

from litdata import StreamingDataLoader, StreamingDataset
from litdata.streaming.serializers import JPEGSerializer

folder = str(Path(sys.argv[1]) / sys.argv[2])


class Both(JPEGSerializer):
    """Returns the digest of the file beside the image."""

    def deserialize(self, data):
        image = super().deserialize(bytes(data))
        return hashlib.sha256(data).hexdigest(), list(image.shape), str(image.dtype)


dataset = StreamingDataset(folder, serializers={"jpeg": Both()})
told = [dataset[at] for at in range(len(dataset))]
images = [[one["label"], one["image"][0]] for one in told]
kinds = sorted({(one["image"][1][0], one["image"][2]) for one in told})
loader = StreamingDataLoader(StreamingDataset(folder), batch_size=1, num_workers=0)
loaded = [batch["label"].item() for batch in loader]

print(json.dumps({"images": images, "kinds": kinds, "loaded": loaded}))
