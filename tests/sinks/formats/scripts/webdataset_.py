"""Read a split with webdataset, with wids and with datasets: name, label and digest of every image, in order."""

import hashlib
import json
import sys
from pathlib import Path

import datasets
import webdataset
import wids

root, split = Path(sys.argv[1]), sys.argv[2]
shards = sorted(str(path) for path in root.glob(f"{split}-*.tar"))

told = []
for sample in webdataset.WebDataset(shards, shardshuffle=False, empty_check=False):
    facts = json.loads(sample["json"])
    label = int(sample["cls"]) if "cls" in sample else None
    told.append([facts["name"], label, hashlib.sha256(sample["jpg"]).hexdigest()])

indexed = wids.ShardListDataset(str(root / f"{split}-index.json"), transformations=[], base=str(root))
again = []
for at in range(len(indexed)):
    sample = indexed[at]
    label = int(sample[".cls"].read()) if ".cls" in sample else None
    again.append(
        [json.loads(sample[".json"].read())["name"], label, hashlib.sha256(sample[".jpg"].read()).hexdigest()]
    )

loaded = datasets.load_dataset("webdataset", data_files={split: shards}, split=split, cache_dir=sys.argv[3])
plain = loaded.cast_column("jpg", datasets.Image(decode=False))
hub = [[row["json"]["name"], row.get("cls"), hashlib.sha256(row["jpg"]["bytes"]).hexdigest()] for row in plain]

print(json.dumps({"webdataset": told, "wids": again, "datasets": hub}))
