from __future__ import annotations

import sys

import pytest

from ilsvrc.errors import MissingExtraError
from ilsvrc.web.templating import require_form_parser, size, templates, visible, whole


def test_what_is_not_seen_is_shown() -> None:
    assert visible("a\u202eb") == "a\\u202eb"
    assert visible("\udcff\x1b") == "\\udcff\\u001b"
    assert visible("tench, 丁鱥") == "tench, 丁鱥"
    assert visible(3) == 3


def test_numbers_for_people() -> None:
    assert [size(value) for value in (0, 999, 1_000, 110_000, 6_744_924_160)] == [
        "0 bytes", "999 bytes", "1 KB", "110 KB", "6.74 GB",
    ]  # fmt: skip
    assert whole(1_281_167) == "1,281,167"


def test_templates_escape_and_refuse_what_is_not_there() -> None:
    made = templates().from_string("{{ text }}").render(text="<b>&")
    assert made == "&lt;b&gt;&amp;"
    with pytest.raises(Exception, match="'lacking' is undefined"):
        templates().from_string("{{ lacking }}").render()


def test_missing_form_parser_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_multipart", None)
    with pytest.raises(MissingExtraError, match="python-multipart") as caught:
        require_form_parser()
    assert caught.value.hint == "pip install 'ilsvrc[view]'"
