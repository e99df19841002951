"""The report of a check as a page: the check runs in the background, and the page says how far it is."""

from __future__ import annotations

import shlex
import threading
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ilsvrc.check.check import check
from ilsvrc.errors import IlsvrcError, MachineError
from ilsvrc.events import Advanced, Event, Started
from ilsvrc.files import printable
from ilsvrc.readers.reader import Place
from ilsvrc.web.environment import environment
from ilsvrc.web.report import policy, render
from ilsvrc.web.templating import templates
from ilsvrc.web.view.collection import Collection
from ilsvrc.web.view.pages import is_part


@dataclass(frozen=True, slots=True)
class Check:
    """A check that was begun.

    stage : what it does
    share : how much of that is done, 0 to 1; None if it is not known
    page : the report, once it is made
    problem : why there is none; empty if nothing failed
    """

    stage: str = "begun"
    share: float | None = None
    page: str = ""
    problem: str = ""


class ReportPage:
    """Answers the requests for the report; nothing is checked before the first.

    Parameters
    ----------
    collection
        The data set.
    """

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._lock = threading.Lock()
        self._check: Check | None = None
        self._deep = False
        self._done = self._total = 0

    def report(self, request: Request) -> Response:
        """Return the report, or how far the check is."""
        with self._lock:
            if self._check is None:
                self._check = Check()
                threading.Thread(target=self._run, name="check", daemon=True).start()
            found = self._check
        asked = is_part(request)
        headers = {"Cache-Control": "no-cache", "Vary": "HX-Request"}
        if found.page and asked:
            return Response(headers={"HX-Refresh": "true"})
        if found.page:
            return HTMLResponse(found.page, headers=headers | {"Content-Security-Policy": policy("'self'")})
        name = "progress.html" if asked else "checking.html"
        text = templates().get_template(name).render(collection=self._collection, check=found)
        return HTMLResponse(text, headers=headers)

    def again(self, request: Request) -> Response:
        """Forget the report, so that the next request for it checks again: every image, if `deep` is asked for."""
        with self._lock:
            if self._check and (self._check.page or self._check.problem):
                self._check, self._deep = None, request.query_params.get("deep") == "1"
        return RedirectResponse("/report", 303)

    def _run(self) -> None:
        path, deep = self._collection.path, self._deep
        try:
            found = check(path, deep=deep, overview=True, listener=self._listen)
            command = f"ilsvrc check {'--deep ' if deep else ''}{shlex.quote(printable(str(path)))}"
            page = render(found, command=command, environment=environment(), link=self._link, home="/")
            self._check = Check(page=page)
        except (IlsvrcError, OSError) as error:
            told = error if isinstance(error, IlsvrcError) else MachineError.of(error)
            self._check = Check(problem=f"{told.message}. {told.hint}")
        except Exception as error:
            self._check = Check(problem=f"the check failed: {error!r}")
            raise

    def _listen(self, event: Event) -> None:
        if isinstance(event, Started):
            self._done, self._total = 0, event.total_images or event.total_bytes
            self._check = Check(stage=event.stage, share=0.0 if self._total else None)
        elif isinstance(event, Advanced) and self._check and self._total:
            self._done += event.images or event.bytes
            self._check = replace(self._check, share=min(1.0, self._done / self._total))

    def _link(self, place: Place, row: int) -> str:
        """Return the URL of an image's page, if it is one of those that are shown; else an empty text."""
        split = self._collection.splits.get(place.split)
        if split is None or not 0 <= row < len(split) or split.reader.where(row) != place:
            return ""
        return f"/image/{split.name}/{row}"
