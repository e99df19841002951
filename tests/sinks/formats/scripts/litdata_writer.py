"""Write images with LitData's BinaryWriter: `litdata_writer.py SHARDS OUT`.

SHARDS is JSON, `[[[FILE, LABEL], ...], ...]`. All shards but the last have as many images as the first.
`max_quality=None` keeps the file of every image as it is.
"""

import json
import sys
from pathlib import Path

from litdata.streaming.writer import BinaryWriter
from litdata.types import Jpeg

shards, out = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2]

writer = BinaryWriter(out, chunk_size=len(shards[0]))
for number, (path, label) in enumerate(image for shard in shards for image in shard):
    writer[number] = {"image": Jpeg(bytes=Path(path).read_bytes(), max_quality=None), "label": label}
writer.done()
writer.merge()

print(json.dumps(sorted(path.name for path in Path(out).iterdir())))
