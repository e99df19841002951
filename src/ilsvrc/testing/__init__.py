"""Miniature archives, for our tests and for those of others.

>>> from ilsvrc.testing import Fault, MiniSpec, write_mini
>>> write_mini(folder, MiniSpec(classes=10, mean_bytes=8000, faults=frozenset({Fault.SYMLINK})))  # doctest: +SKIP
"""

from ilsvrc.testing.faults import FAULTS, Fault, FaultSpec, parse_faults
from ilsvrc.testing.mini import MiniReport, MiniSpec, write_mini
from ilsvrc.testing.planting import Planted
from ilsvrc.testing.simulate import Simulation, write_simulated

__all__ = [
    "FAULTS",
    "Fault",
    "FaultSpec",
    "MiniReport",
    "MiniSpec",
    "Planted",
    "Simulation",
    "parse_faults",
    "write_mini",
    "write_simulated",
]
