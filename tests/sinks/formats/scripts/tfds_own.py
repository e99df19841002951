"""Write train of official archives as tensorflow-datasets does; print its files, and every example by its name."""

import hashlib
import json
import sys
from pathlib import Path

import tensorflow_datasets as tfds

archives, target, file_format = sys.argv[1:]
builder = tfds.builder("imagenet2012", data_dir=target, file_format=file_format)
builder.download_and_prepare(
    download_dir=f"{target}/downloads", download_config=tfds.download.DownloadConfig(manual_dir=archives)
)
folder = Path(builder.data_dir)
undecoded = {"image": tfds.decode.SkipDecoding()}
source = builder.as_data_source(split="train", decoders=undecoded) if file_format == "array_record" else None
read = source or tfds.as_numpy(builder.as_dataset(split="train", decoders=undecoded))
examples = []
for example in read:
    name = example["file_name"]
    name = name if isinstance(name, str) else name.decode()
    examples.append([name, int(example["label"]), hashlib.sha256(example["image"]).hexdigest()])
texts = {path.name: path.read_text() for path in folder.iterdir() if path.suffix in (".json", ".txt")}
print(json.dumps({"files": texts, "train": sorted(examples)}))
