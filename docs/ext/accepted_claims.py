"""Compare the findings of a build with the accepted ones in ``docs/findings.json``: each difference is a warning, and fails the build."""

from __future__ import annotations

from sphinx.application import Sphinx
from sphinx.util import logging

from gallery.claims import compare_claims, gather_claims, read_claims

log = logging.getLogger(__name__)


def check_claims(app: Sphinx) -> None:
    """Warn of each claim that differs, once all pages are run."""
    if app.config.sphinx_gallery_conf.get("plot_gallery", True) in (True, "True"):
        for sentence in compare_claims(read_claims(), gather_claims()):
            log.warning("%s. To accept it: python -m gallery.claims in docs/", sentence, type="claims")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", check_claims, priority=900)      # after sphinx-gallery's own, which runs the pages
    return {"parallel_read_safe": True, "parallel_write_safe": True}
