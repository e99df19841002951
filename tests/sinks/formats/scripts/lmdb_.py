"""Read a split with the package lmdb: name by place, label and digest of every image, in order."""

import hashlib
import json
import struct
import sys

import lmdb

environment = lmdb.open(sys.argv[1], subdir=False, readonly=True, lock=False)
told = []
with environment.begin() as transaction:
    for key, value in transaction.cursor():
        length = struct.unpack_from("<I", value)[0]
        label = int.from_bytes(value[4 : 4 + length], "little", signed=True)
        size = struct.unpack_from("<I", value, 4 + length)[0]
        image = value[8 + length :]
        assert size == len(image)
        told.append([key.decode(), label, hashlib.sha256(image).hexdigest()])
    at_random = transaction.get(b"%08d" % (len(told) // 2))
    assert hashlib.sha256(at_random[12:]).hexdigest() == told[len(told) // 2][2]
print(json.dumps({"entries": environment.stat()["entries"], "images": told}))
