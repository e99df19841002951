"""Write images with MDSWriter: `mds_writer.py SHARDS OUT`, where SHARDS is JSON, `[[[FILE, LABEL], ...], ...]`.

The encoding `jpeg` copies the file of a Pillow image that was opened from a file as a JPEG. The only images that
aren't are the PNG files, which it would encode anew: they get an image that says the same of itself.
"""

import json
import sys
from pathlib import Path

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from streaming import MDSWriter

shards, out = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2]


def opened(path):
    image = Image.open(path)
    if not isinstance(image, JpegImageFile):
        image = JpegImageFile.__new__(JpegImageFile)
        image.filename = path
    return image


columns = {"x": "jpeg", "y": "int"}
with MDSWriter(out=out, columns=columns, hashes=["xxh3_128"], size_limit=None) as writer:
    for number, shard in enumerate(shards):
        if number:
            writer.flush_shard()
            writer._reset_cache()
        for path, label in shard:
            writer.write({"x": opened(path), "y": label})

print(json.dumps(sorted(path.name for path in Path(out).iterdir())))
