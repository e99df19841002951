from .archives import fetch_request
from .credentials import Credentials
from .metalink import with_metalinks
from .part import unfinished
from .request import Fetched, FetchReport, FetchRequest, Limits
from .verb import fetch

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
