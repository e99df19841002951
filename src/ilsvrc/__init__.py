"""Every fact, label and byte of ILSVRC 2012 (ImageNet-1K), ready to train on.

The main verb is `prepare`; `index` and `check` serve it and stand alone. `__init__.pyi` lists the names; each is
imported when it is first used.
"""

import sys

if sys.argv[:1] == ["-m"] and "ilsvrc" in sys.orig_argv:  # python -m ilsvrc: Ctrl-C is answered before slow imports
    from ilsvrc.cli import process

    process.listen()

from types import ModuleType

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


class _Package(ModuleType):
    """The package, in which a verb's name is its function: importing a submodule of that name doesn't replace it."""

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and name in ("check", "fetch", "prepare", "relabel"):
            return
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
