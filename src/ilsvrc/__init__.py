"""Every fact, label and byte of ILSVRC 2012 (ImageNet-1K), ready to train on.

The main verb is `prepare`; `index` and `check` serve it and stand alone. `__init__.pyi` lists the names; each is
imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
