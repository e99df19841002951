"""Write one SquashFS image of class folders by mksquashfs, nothing compressed. Usage: see `writing`.

It takes the folders themselves, in their order: it is given no shuffled one.
"""

from __future__ import annotations

import subprocess
import sys

from bench.peers.writing import Job, main

STORED = ("-noI", "-noId", "-noD", "-noF", "-noX", "-no-fragments", "-no-duplicates")


def write_all(job: Job) -> None:
    command = ["mksquashfs", sys.argv[1], str(job.target / "train.squashfs"), *STORED, "-no-progress"]
    subprocess.run([*command, "-processors", str(job.processes)], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main(write_all)
