"""Render templates: everything is escaped, and characters that are not seen are shown."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ilsvrc.errors import MissingExtraError
from ilsvrc.web.environment import without_owner

if TYPE_CHECKING:
    from jinja2 import Environment


_FOLDERS = ("templates", "view/templates", "view/static")
"""Where templates, styles and scripts lie in this package: those of the report, which pages use too, and of pages."""


def text_of(name: str) -> str:
    """Return a template, style or script of this package by its name."""
    found = (files("ilsvrc.web") / folder / name for folder in _FOLDERS)
    return next(file for file in found if file.is_file()).read_text(encoding="utf-8")


@cache
def templates() -> Environment:
    """Return what renders the templates of this package.

    Raises
    ------
    MissingExtraError
        If Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError:
        raise MissingExtraError("Jinja2", "view") from None
    made = Environment(
        loader=FunctionLoader(text_of),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"count": whole, "size": size, "shown": without_owner}
    return made


def compile_templates() -> None:
    """Compile all templates now, so that no first request waits for it."""
    for folder in _FOLDERS:
        for file in (files("ilsvrc.web") / folder).iterdir():
            if file.name.endswith(".html"):
                templates().get_template(file.name)


def visible(value: Any) -> Any:
    """Return a value with characters that are not seen, or turn text around, as escapes; Jinja escapes the rest."""
    if not isinstance(value, str) or hasattr(value, "__html__") or value.isprintable():
        return value
    shown = (
        character if character.isprintable() or character == "\n" else f"\\u{ord(character):04x}"
        for character in value
    )
    return "".join(shown)


def size(value: float) -> str:
    """Return a number of bytes for people."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} bytes"


def whole(value: float) -> str:
    """Return a whole number for people."""
    return f"{value:,.0f}"


def require_form_parser() -> None:
    """Refuse to go on without what reads uploads.

    Raises
    ------
    MissingExtraError
        If python-multipart is not installed.
    """
    try:
        import python_multipart  # noqa: F401  -- Starlette imports it where a form is read
    except ImportError:
        raise MissingExtraError("python-multipart", "view") from None
