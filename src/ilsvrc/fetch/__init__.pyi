from .job import fetch
from .metalink import with_metalinks
from .part import unfinished
from .request import Credentials, Fetched, FetchReport, FetchRequest, Limits

__all__ = ["Credentials", "FetchReport", "FetchRequest", "Fetched", "Limits", "fetch", "unfinished", "with_metalinks"]
