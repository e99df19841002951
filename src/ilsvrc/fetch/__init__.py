"""From a URL, a torrent or several of them to a verified archive on disk, over aria2c."""

from ilsvrc.fetch.metalink import with_metalinks
from ilsvrc.fetch.part import unfinished
from ilsvrc.fetch.request import Credentials, Fetched, FetchReport, FetchRequest, Limits
from ilsvrc.fetch.run import fetch

__all__ = ["Credentials", "FetchReport", "FetchRequest", "Fetched", "Limits", "fetch", "unfinished", "with_metalinks"]
