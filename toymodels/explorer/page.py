"""Write the explorer's page with a view or a stored portrait in it, and replace no file that another program wrote."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from validation.arguments import Misuse
from validation.storage.atomic import publish, resolve_target
from validation.storage.files import check_writable

PAGE = Path(__file__).parent / "explorer.html"
SIGN = 'content="lazyrich explore"'


def fill_page(page: str, title: str | None = None, **parts: Mapping[str, Any] | None) -> str:
    """Return the page with JSON in it, each part in a script element of its name, before the page's own scripts.

    Parameters
    ----------
    page : the page as it is built.
    title : of the window; None: the page's own.
    parts : ``view``, as `setView` of the page takes it, or ``portrait``, as from `stored_portrait.encode_portrait`.
    """
    head, end, rest = page.partition("</head>")
    if not end:
        raise ValueError("the page has no head")
    scripts = [f'<meta name="generator" {SIGN}>']
    if title is not None:
        scripts.append(f"<script>document.title = {_escape(title)};</script>")
    for name, part in parts.items():
        if part is not None:
            scripts.append(f'<script type="application/json" id="{html.escape(name)}">{_escape(part)}</script>')
    return "\n".join([head, *scripts, end + rest])


def check_target(target: str | Path) -> Path:
    """Return the path of the file to write.

    Raises
    ------
    Misuse : it cannot be written, or holds what `lazyrich explore` did not write.
    """
    path = resolve_target("out", target)
    if path.is_dir():
        raise Misuse(f"out must be the path of a file, but {path} is a folder")
    check_writable(path.parent)
    try:
        written = SIGN in path.read_text(encoding="utf-8", errors="replace") if path.exists() else True
    except OSError as error:
        raise Misuse(f"{path} cannot be read: {error.strerror}") from None
    if not written:
        raise Misuse(f"{path} was not written by lazyrich and is not overwritten; choose another file with --out")
    return path


def write_page(path: Path, title: str | None = None, **parts: Mapping[str, Any] | None) -> Path:
    """Write the page, filled by `fill_page`, and return its path."""
    return publish(path, fill_page(PAGE.read_text(encoding="utf-8"), title, **parts).encode())


def _escape(value: Any) -> str:
    """Return a value as JSON that may stand in a script element."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")
