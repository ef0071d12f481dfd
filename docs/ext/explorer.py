"""The directive ``explorer NAME``: the explorer's page at one of its presets, live in the page; a picture where scripts are off.

Options: ``picture``, a path as of an image, and ``shows``, what the picture shows. Without them a page has a picture of its own.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FOLDER = Path(__file__).parent.parent.parent / "toymodels" / "explorer"


def list_presets() -> dict[str, str]:
    """Return the presets of the page, name -> title, from its source."""
    return dict(re.findall(r'\{name: "([\w-]+)", title: "([^"]+)"', (FOLDER / "source" / "presets.js").read_text(encoding="utf-8")))


class Explorer(SphinxDirective):
    """Embed the explorer at a preset."""

    required_arguments = 1
    option_spec: ClassVar = {"picture": directives.uri, "shows": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        name, titles = self.arguments[0], list_presets()
        if name not in titles:
            raise self.error(f"the explorer has no preset {name!r}; it has {', '.join(titles)}")
        address = f"{'../' * self.env.docname.count('/')}_static/explorer.html#preset={name}"
        frame = (f'<iframe class="explorer" loading="lazy" src="{address}" title="Explorer: {html.escape(titles[name])}"></iframe>'
                 f'<p class="explorer-link"><a href="{address}">Open the explorer in a window of its own</a></p>')
        without = "<noscript><style>.explorer, .explorer-link { display: none; }</style>"
        picture = [nodes.image(uri=self.options["picture"], alt=self.options["shows"])] if "picture" in self.options else []
        return [nodes.raw("", frame, format="html"), nodes.raw("", without, format="html"), *picture,
                nodes.raw("", "</noscript>", format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("explorer", Explorer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
