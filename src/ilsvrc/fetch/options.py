"""The options that aria2c is given, by its long option names."""

from __future__ import annotations

import os

from ilsvrc.fetch.aria2 import Options
from ilsvrc.fetch.relay import HOST
from ilsvrc.fetch.request import Limits

SMALLEST_PIECE = 1 << 20
"""Bytes: aria2c takes no smaller ones from servers."""

_LARGEST, _PIECES = 16 << 20, 512

WHOLE_OPTIONS = {"split": "1", "max-connection-per-server": "1", "enable-http-pipelining": "false"}
"""For a server that gives a file whole or not at all."""


def engine_settings(limits: Limits) -> dict[str, str]:
    """Return what holds for the whole process; the proxy comes from the environment, as aria2c reads it."""
    return {
        "no-netrc": "true",
        "max-overall-download-limit": str(limits.max_speed),
        "enable-dht": str(limits.dht).lower(),
        "enable-dht6": "false",
        "disk-cache": "32M",
    }


def file_options(limits: Limits, piece: int) -> dict[str, str]:
    """Return how one file is fetched in pieces of so many bytes, from servers or peers.

    Pieces are taken in order, each by its own exact range on a connection that is kept: the beginning of the file is
    there early, so that hashing keeps up, and no connection is cut with bytes still in flight.
    """
    return {
        "split": str(limits.connections),
        "max-connection-per-server": str(limits.connections),
        "piece-length": str(max(piece, SMALLEST_PIECE)),
        "min-split-size": str(max(piece, SMALLEST_PIECE)),
        "stream-piece-selector": "inorder",
        "enable-http-pipelining": "true",
        "file-allocation": "none",
        "auto-file-renaming": "false",
        "allow-overwrite": "true",
        "allow-piece-length-change": "true",
        "continue": "true",
        "max-tries": "10",
        "retry-wait": "1",
        "timeout": str(seconds(limits.patience, 60)),
        "connect-timeout": str(seconds(limits.patience, 30)),
        "no-proxy": ",".join(filter(None, (os.environ.get("no_proxy"), HOST))),
        "http-accept-gzip": "false",
        "follow-torrent": "false",
        "follow-metalink": "false",
        "no-want-digest-header": "true",
        "seed-time": "0",
    }


def seeding_options(limits: Limits) -> Options:
    """Return how a verified archive is given back to other peers."""
    return {"seed-ratio": str(limits.seed_ratio), "bt-seed-unverified": "true", "check-integrity": "false"}


def piece_length(size: int) -> int:
    """Return the bytes of a piece: a power of two that makes about 512 of the file, from 1 to 16 MiB.

    It follows from the size alone, so that every run of one file agrees with its control file.
    """
    return min(max(1 << (size // _PIECES).bit_length(), SMALLEST_PIECE), _LARGEST)


def seconds(patience: float, most: int) -> int:
    """Return the whole seconds to wait for one answer: all the patience there is, but no more than `most`."""
    return max(1, min(int(patience), most))
