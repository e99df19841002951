from .job import fetch, fetch_request
from .metalink import with_metalinks
from .part import unfinished
from .request import Credentials, Fetched, FetchReport, FetchRequest, Limits

__all__ = [
    "Credentials",
    "FetchReport",
    "FetchRequest",
    "Fetched",
    "Limits",
    "fetch",
    "fetch_request",
    "unfinished",
    "with_metalinks",
]
