"""The pages of a data set: classes, the WordNet tree, images, samples, comparisons."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any
from urllib.parse import urlencode

import numpy as np
from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ilsvrc import facts
from ilsvrc.errors import IlsvrcError, UsageError
from ilsvrc.facts import Synset
from ilsvrc.labels.query import Match, find, first_word
from ilsvrc.stores.path import StorePath
from ilsvrc.web.about import about
from ilsvrc.web.cells import Cell, branch, heading, spread
from ilsvrc.web.collection import (
    ODDITIES,
    SHAPES,
    SIZES,
    SORTS,
    UNLABELLED,
    Arrangement,
    Collection,
    Split,
)
from ilsvrc.web.measures import Progress
from ilsvrc.web.pictures import NO_PICTURE, Picture, Thumbnails, shown
from ilsvrc.web.templating import templates

PER_PAGE = 60
"""Images or classes that are sent at once; scrolling asks for the next."""

SAMPLED = 48
"""Images of a random sample."""

BESIDE = 30
"""Images of each class in a comparison."""

_LARGEST_SEED = 2**32
_AT_ONCE = 16
"""Pictures that are read at the same time from a store."""

_PICTURE_POLICY = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}
_ROW = re.compile(r"[0-9]{1,12}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class Pages:
    """Answers the requests for pages and pictures. Safe to use from many threads.

    Parameters
    ----------
    collection
        The data set.
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.thumbnails = Thumbnails()
        remote = isinstance(collection.path, StorePath)
        self._limiter = CapacityLimiter(_AT_ONCE if remote else max(2, os.cpu_count() or 1))

    # pages

    def classes(self, request: Request) -> Response:
        """Return the grid of classes, those that a search finds, or more of them."""
        split, query = self._split(request), request.query_params.get("q", "").strip()
        start = _number(request, "from")
        try:
            found = self._found(split, query)
            hint = ""
        except UsageError as error:
            found, hint = [], f"{error.message}: {error.hint}"
        values = {"q": query, "split": split.name}
        return self._page(
            request,
            "classes.html",
            part="headings.html",
            split=split,
            query=query,
            hint=hint,
            image=next((Cell(one, row) for one in self.collection if (row := one.row_of(query)) is not None), None),
            headings=[heading(split, *one) for one in found[start : start + PER_PAGE]],
            total=len(found),
            more=_more(request, values, start, len(found)),
        )

    def tree(self, request: Request) -> Response:
        """Return a synset of WordNet and those right below it."""
        split, wnid = self._split(request), request.path_params.get("wnid", "") or _ROOT
        words = facts.hierarchy().words
        if wnid not in words:
            raise HTTPException(404, f"{wnid} is no synset of ILSVRC 2012.")
        if facts.classes().get(wnid):
            return RedirectResponse(f"/class/{split.name}/{wnid}", 303)
        branches = [branch(split, child) for child in facts.hierarchy().children[wnid]]
        return self._page(
            request,
            "tree.html",
            split=split,
            branch=branch(split, wnid),
            branches=branches,
            paths=_trail(wnid),
        )

    def images(self, request: Request) -> Response:
        """Return the images of a class, in the order and with the filters that are asked for, or more of them."""
        split, synset = self._split(request), self._synset(request.path_params["wnid"])
        arrangement, start = Arrangement.of(request.query_params), _number(request, "from")
        progress = self._measured(split, synset, arrangement)
        rows = split.arranged(synset, arrangement)
        values = asdict(arrangement)
        return self._page(
            request,
            "class.html",
            part="cells.html",
            split=split,
            match=Match(synset, "") if synset else None,
            arrangement=arrangement,
            choices={"sort": SORTS, "shape": SHAPES, "size": SIZES, "oddity": ODDITIES},
            progress=progress,
            again=f"?{urlencode(values)}",
            cells=[Cell(split, row) for row in rows[start : start + PER_PAGE].tolist()],
            total=len(rows),
            of=len(split.rows(synset)),
            more=_more(request, values, start, len(rows)) if progress.complete else "",
            siblings=self._siblings(synset) if synset else (),
            tree=_trail(synset.wnid) if synset else [],
        )

    def image(self, request: Request) -> Response:
        """Return one image, and all that is known of it."""
        split, row = self._image(request)
        found = about(split, row)
        neighbours = {
            name: Cell(split, at).page if at is not None else ""
            for name, at in (("before", found.before), ("after", found.after))
        }
        return self._page(request, "image.html", split=split, about=found, cell=Cell(split, row), **neighbours)

    def sample(self, request: Request) -> Response:
        """Return images drawn at random, the same for the same seed."""
        split, seed = self._split(request), _number(request, "seed") % _LARGEST_SEED
        cells = [Cell(split, row) for row in drawn(split, seed)]
        return self._page(request, "sample.html", split=split, seed=seed, cells=cells, headings=self._captions(cells))

    def compare(self, request: Request) -> Response:
        """Return two classes side by side."""
        split = self._split(request)
        sides = [self._side(split, request.query_params.get(name, "")) for name in ("a", "b")]
        return self._page(request, "compare.html", split=split, sides=sides, namesakes=_namesakes())

    # pictures: a few at a time, so that pages need not wait for a whole grid of them

    async def thumbnail(self, request: Request) -> Response:
        """Return the thumbnail of an image."""
        return await self._picture(request, self.thumbnails.get)

    async def picture(self, request: Request) -> Response:
        """Return an image as browsers show it."""
        return await self._picture(request, lambda split, row: shown(split.reader.read(row)))

    async def file(self, request: Request) -> Response:
        """Return an image's file, byte for byte, to be saved."""
        split, row = self._image(request)
        data = await to_thread.run_sync(split.reader.read, row, limiter=self._limiter)
        headers = {"Content-Disposition": f'attachment; filename="{_UNSAFE.sub("_", split.reader.name(row))}"'}
        return Response(data, media_type="application/octet-stream", headers=headers)

    async def _picture(self, request: Request, make: Callable[[Split, int], Picture]) -> Response:
        """Return a picture that browsers keep as long as the data set is unchanged: its version is in the URL."""
        split, row = self._image(request)
        tag = f'"{split.version}-{row}-{request.url.path.split("/")[1]}"'
        headers = {"ETag": tag, "Cache-Control": "private, max-age=86400"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        try:
            made = await to_thread.run_sync(make, split, row, limiter=self._limiter)
        except IlsvrcError:  # the image's page says why
            made, headers = NO_PICTURE, {"Cache-Control": "no-store"}
        return Response(made.data, media_type=made.media_type, headers=headers | _PICTURE_POLICY)

    # what a URL means

    def _split(self, request: Request) -> Split:
        name = request.path_params.get("split") or request.query_params.get("split") or self.collection.first.name
        if name not in self.collection.splits:
            raise HTTPException(404, f"There is no split {name!r} here, only {', '.join(self.collection.splits)}.")
        return self.collection.splits[name]

    def _synset(self, wnid: str) -> Synset | None:
        synset = facts.classes().get(wnid)
        if synset is None and wnid != UNLABELLED:
            raise HTTPException(404, f"{wnid} is none of the 1000 classes.")
        return synset

    def _image(self, request: Request) -> tuple[Split, int]:
        split, text = self._split(request), request.path_params["row"]
        row = int(text) if _ROW.fullmatch(text) else len(split)
        if row >= len(split):
            raise HTTPException(404, f"{split.name} has {len(split):,} images, and none has the number {text[:20]}.")
        return split, row

    def _found(self, split: Split, query: str) -> Sequence[tuple[Synset | None, str]]:
        """Return the classes that a search finds, and how; without a query, those that have images.

        Raises
        ------
        UsageError
            If nothing matches.
        """
        if query:
            return [(match.synset, match.found_as) for match in find(query)]
        there = [facts.classes()[index] for index in np.flatnonzero(split.counts).tolist()]
        return [*((synset, "") for synset in there), *([(None, "")] if split.unlabelled else [])]

    # what pages show

    def _measured(self, split: Split, synset: Synset | None, arrangement: Arrangement) -> Progress:
        if not arrangement.needs_measures:
            return Progress(0, 0)
        return split.measures.want(split.rows(synset))

    def _siblings(self, synset: Synset) -> list[Synset]:
        """Return the classes to compare one with: its namesakes, then the others right below its parents."""
        table, tree = facts.classes(), facts.hierarchy()
        beside = [child for parent in tree.parents[synset.wnid] for child in tree.children[parent]]
        others = [found for wnid in beside if (found := table.get(wnid))]
        return [one for one in dict.fromkeys([*Match(synset, "").namesakes, *others]) if one != synset]

    def _captions(self, cells: Sequence[Cell]) -> list[str]:
        labels = [int(cell.split.reader.labels[cell.row]) for cell in cells]
        return [facts.classes()[label].name if label >= 0 else "" for label in labels]

    def _side(self, split: Split, query: str) -> dict[str, Any]:
        """Return one side of a comparison: the class that a search finds first, and its images."""
        query = query.strip()
        nothing: dict[str, Any] = {"match": None, "cells": [], "images": 0}
        try:
            match = find(query)[0] if query else None
        except UsageError as error:
            return nothing | {"query": query, "hint": f"{error.message}: {error.hint}"}
        if match is None:
            return nothing | {"query": query, "hint": ""}
        rows = split.rows(match.synset)
        cells = [Cell(split, row) for row in spread(rows, BESIDE).tolist()]
        return {"query": query, "hint": "", "match": match, "cells": cells, "images": len(rows)}

    def _page(self, request: Request, name: str, *, part: str = "", **values: Any) -> Response:
        """Return a page, or only its part that changes, where htmx asks for more of it."""
        asked = bool(part) and is_part(request)
        text = templates().get_template(part if asked else name).render(collection=self.collection, **values)
        return HTMLResponse(text, headers={"Cache-Control": "no-cache", "Vary": "HX-Request"})


def drawn(split: Split, seed: int) -> list[int]:
    """Return the rows of a random sample, the same for the same seed."""
    rows: list[int] = np.random.default_rng(seed).choice(len(split), min(SAMPLED, len(split)), replace=False).tolist()
    return rows


def is_part(request: Request) -> bool:
    """Whether a page that is open asks for a part of it, by htmx; after a step back it needs the whole page."""
    return request.headers.get("hx-request") == "true" and "hx-history-restore-request" not in request.headers


_ROOT = "n00001740"
"""The wnid of `entity`, above all others."""


def _trail(wnid: str) -> list[list[tuple[str, str]]]:
    """Return wnid and first word of every synset on every way from entity down to this one."""
    tree = facts.hierarchy()
    return [[(above, first_word(tree.words[above])) for above in path] for path in tree.paths(wnid)]


@cache
def _namesakes() -> list[tuple[Synset, Synset]]:
    """Return the pairs of classes that share their first word."""
    pairs = [(synset, other) for synset in facts.classes() for other in Match(synset, "").namesakes]
    return [(one, other) for one, other in pairs if one.index < other.index]


def _number(request: Request, name: str) -> int:
    """Return a number of the query, 0 where it is none."""
    text = request.query_params.get(name, "")
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= len(str(_LARGEST_SEED)) else 0


def _more(request: Request, values: dict[str, str], start: int, total: int) -> str:
    """Return the URL of what follows; empty at the end."""
    following = start + PER_PAGE
    return f"{request.url.path}?{urlencode(values | {'from': following})}" if following < total else ""
