"""What pages have in common that stand in one file, to be opened from a disk without a network."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from importlib import resources
from typing import Any, Final

import jinja2
from PIL import Image as Pictures

from shopcue.exports import one_line
from shopcue.records import Image

_TOKENS: Final = "server/static/css/tokens.css"  # the very ones of the pages that a server shows


def asset(name: str) -> str:
    """Return the text of a file in templates/."""
    return _text(f"templates/{name}")


def _text(path: str) -> str:
    return resources.files("shopcue").joinpath(*path.split("/")).read_text(encoding="utf-8")


def style(name: str) -> str:
    """Return the style of a page: what all of them share, then its own."""
    return _text(_TOKENS) + asset("page.css") + asset(name)


def template(name: str, **filters: Callable[..., Any]) -> jinja2.Template:
    """Return a template that escapes every value and knows `filters` beside `one_line`."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters, one_line=one_line)
    return environment.get_template(name)


def source_of(text: str) -> str:
    """Return what a content security policy calls a style or script that is inside the page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def jpeg_address(picture: Pictures.Image | Image, quality: int) -> str:
    """Return a picture as a data address."""
    raw = io.BytesIO()
    image = picture if isinstance(picture, Pictures.Image) else Pictures.fromarray(picture)
    image.save(raw, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(raw.getvalue()).decode()}"
