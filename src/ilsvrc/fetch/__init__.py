"""Fetch archives from servers, torrents and dataset hubs: the verb, its transfers, and their verification.

Only the bytes of whole files matter here: their contents belong to `archive`, and official digests to `facts`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
