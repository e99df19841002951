"""Index a tar of tars with ratarmount's library and say how long it took.

Usage: ratar.py ARCHIVE INDEX_FILE. The library, not the program: that one asks for FUSE even if it mounts nothing.
"""

import sys
import time

from ratarmountcore.mountsource.factory import open_mount_source

begun = time.perf_counter()
archive, index_file = sys.argv[1:]
open_mount_source(archive, recursive=True, clearIndexCache=True, indexFilePath=index_file)
print(f"\nseconds: {time.perf_counter() - begun}")
