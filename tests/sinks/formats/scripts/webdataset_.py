"""Read a split with webdataset and with wids: `KEY`, label and digest of every image, in order."""

import hashlib
import json
import sys
from pathlib import Path

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

print(json.dumps({"webdataset": told, "wids": again}))
