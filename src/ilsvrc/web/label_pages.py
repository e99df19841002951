"""The page of label schemes, with the converter and the detector."""

from __future__ import annotations

import re
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ilsvrc import facts
from ilsvrc.errors import DataError, IlsvrcError, UsageError
from ilsvrc.facts import Synset, scheme, schemes
from ilsvrc.labels.detect import Detection, detect_scheme
from ilsvrc.labels.predictions import read_predictions
from ilsvrc.web.collection import Collection
from ilsvrc.web.pages import is_part
from ilsvrc.web.templating import templates

MOST_LABELS = 1_000
"""Labels that are converted at once: a file has no such limit with `ilsvrc labels convert`."""

MOST_UNPACKED = 512 << 20
"""Bytes that a compressed file of predictions may have once it is unpacked."""

MOST_ROWS = 2_000_000
"""Rows that a Parquet file of predictions may have: repeated values take no bytes there."""

_BETWEEN = re.compile(r"[\s,;]+")


@dataclass(frozen=True, slots=True)
class Converted:
    """A label, and its class.

    given : the label
    synset : its class
    labels : the label of the class in every scheme, in the order of `schemes()`
    """

    given: str
    synset: Synset
    labels: tuple[Any, ...]


class LabelPages:
    """Answers the requests about labels.

    Parameters
    ----------
    collection
        The data set, to which the page links.
    """

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def labels(self, request: Request) -> Response:
        """Return the schemes and the converter; with labels in the query, what they are in every scheme."""
        text, source = request.query_params.get("labels", ""), request.query_params.get("from", "index")
        try:
            converted, problem = convert(text, source), ""
        except UsageError as error:
            converted, problem = [], f"{error.message}. {error.hint}"
        return self._page(request, "converted.html", text=text, source=source, converted=converted, problem=problem)

    async def detect(self, request: Request) -> Response:
        """Return which scheme an uploaded file of predictions speaks."""
        async with request.form(max_files=1, max_fields=1) as form:
            sent = form.get("predictions")
            if not isinstance(sent, UploadFile) or not sent.filename:
                found, problem, name = None, "No file was sent: choose one, or drop it on the page.", ""
            else:
                name = sent.filename.rpartition("/")[2]
                found, problem = await run_in_threadpool(_detected, await sent.read(), name)
        return self._page(request, "detected.html", detection=found, problem=problem, name=name)

    def _page(self, request: Request, part: str, **values: Any) -> Response:
        shown: dict[str, Any] = {"text": "", "source": "index", "converted": [], "detection": None, "name": ""}
        shown |= {"problem": "", "part": part, "schemes": schemes(), "classes": facts.classes()}
        template = part if is_part(request) else "labels.html"
        text = templates().get_template(template).render(collection=self._collection, **shown | values)
        return HTMLResponse(text, headers={"Cache-Control": "no-cache", "Vary": "HX-Request"})


def convert(text: str, source: str) -> list[Converted]:
    """Return the classes of labels, divided by spaces, commas or lines.

    Raises
    ------
    UsageError
        If the scheme is unknown, a label is none of it, or there are more than MOST_LABELS.
    """
    given = [one for one in _BETWEEN.split(text) if one]
    if not given:
        return []
    if len(given) > MOST_LABELS:
        hint = "`ilsvrc labels convert FILE` takes any number"
        raise UsageError(f"{len(given):,} labels are more than the {MOST_LABELS:,} that are shown here", hint=hint)
    known = scheme(source)
    wrong = [one for one in given if known.numeric and not re.fullmatch(r"\d{1,9}", one, re.ASCII)]
    if wrong:
        hint = "wnids are in the scheme wnid" if wrong[0].startswith("n") else "labels are whole numbers"
        raise UsageError(f"{wrong[0]!r} is no label of the scheme {source}", hint=f"{hint}.")
    indices = known.indices([int(one) for one in given] if known.numeric else given)
    return [
        Converted(one, facts.classes()[index], tuple(each.labels[index].item() for each in schemes()))
        for one, index in zip(given, indices.tolist(), strict=True)
    ]


def _detected(data: bytes, name: str) -> tuple[Detection | None, str]:
    """Return what a file of predictions shows, or what is wrong with it."""
    with tempfile.TemporaryDirectory(prefix="ilsvrc-") as folder:
        path = Path(folder, "predictions")
        path.write_bytes(data)
        try:
            _refuse_large(path)
            given = read_predictions(path)
            return detect_scheme(given.names, given.values), ""
        except IlsvrcError as error:
            hint = f". {error.hint}" if error.hint else ""
            return None, f"{error.message.replace(str(path), name)}{hint}"


def _refuse_large(path: Path) -> None:
    """Refuse a compressed file that is large once it is unpacked.

    Raises
    ------
    DataError
        If it is larger than MOST_UNPACKED, or is no such file.
    """
    with path.open("rb") as file:
        magic = file.read(4)
    try:
        if magic[:2] == b"PK":
            with zipfile.ZipFile(path) as archive:
                size = sum(one.file_size for one in archive.infolist())
        elif magic == b"PAR1":
            import pyarrow.parquet as pq

            metadata = pq.read_metadata(path)
            size = sum(metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups))
            if metadata.num_rows > MOST_ROWS:
                raise ValueError(f"{metadata.num_rows:,} rows are more than are read here")
        else:
            return
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise DataError(f"{path}: no file of predictions: {error}") from None
    if size > MOST_UNPACKED:
        hint = "`ilsvrc labels detect FILE` has no such limit"
        raise DataError(f"{path}: {size:,} bytes once unpacked are more than are read here", hint=hint)
