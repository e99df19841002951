"""From a URL, a torrent or several of them to a verified archive on disk, over aria2c."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
