"""Miniatures of ILSVRC 2012 in every form, for our tests and for those of others.

No test of ours lies here, and of the package only the command `ilsvrc mini` builds on it.

>>> from ilsvrc.testing import Fault, MiniSpec, write_mini
>>> write_mini(folder, MiniSpec(classes=10, mean_bytes=8000, faults=frozenset({Fault.SYMLINK})))  # doctest: +SKIP
>>> write_mini(folder, form="kaggle", classes=10, mean_bytes=8000)  # doctest: +SKIP
"""

from ilsvrc.testing.faults import FAULTS, Fault, FaultSpec, parse_faults
from ilsvrc.testing.mini import MiniReport, MiniSpec, write_mini
from ilsvrc.testing.planting import Planted
from ilsvrc.testing.simulate import Simulation, write_simulated
from ilsvrc.testing.spec import FORMS, STATES, Form, State, StateSpec

__all__ = [
    "FAULTS",
    "FORMS",
    "STATES",
    "Fault",
    "FaultSpec",
    "Form",
    "MiniReport",
    "MiniSpec",
    "Planted",
    "Simulation",
    "State",
    "StateSpec",
    "parse_faults",
    "write_mini",
    "write_simulated",
]
