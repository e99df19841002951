"""Reads pages strictly, as the tests of pages need it."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from xml.etree.ElementTree import Element

import html5lib

LOADS = {"src", "href", "srcset", "data", "poster", "action", "formaction", "xlink:href", "background", "ping"}
"""Attributes that may make a browser load something."""


def parsed(text: str) -> Element:
    """Return the document; any error by the HTML standard's parser fails."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    document: Element = parser.parse(text)
    return document


class _Attributes(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(tag, name, value or "") for name, value in attrs]


def attributes(text: str) -> list[tuple[str, str, str]]:
    """Return (tag, attribute, value) of every attribute of a page, by the standard library's parser."""
    parser = _Attributes()
    parser.feed(text)
    return parser.found


def loads(text: str) -> list[str]:
    """Return everything that a page would load from elsewhere."""
    wanted = [value for _, name, value in attributes(text) if name in LOADS]
    return [value for value in wanted if not value.startswith(("#", "data:image/jpeg;base64,"))]


def rows(document: Element, name: str) -> Iterator[list[str]]:
    """Yield the cells of the table in the region of this name, row by row."""
    for region in document.iter("div"):
        if region.get("aria-label") == name:
            for row in region.iter("tr"):
                yield [" ".join("".join(cell.itertext()).split()) for cell in row]
