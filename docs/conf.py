"""Configuration of the site: built offline, warnings as errors."""

import re
import sys
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "data")]

from ext.publication import find_repository
from gallery.disk_cache import digest_sources
from validation.storage.cache import hash_sources

project = "lazyrich"
author = copyright = "The lazyrich authors"   # no year: a rebuild should not change the pages
version = release = installed("lazyrich")

notebooks = find_spec("myst_nb") is not None       # without it, the notebooks are left out
extensions = ["myst_nb" if notebooks else "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon",
              "sphinx.ext.mathjax", "sphinx_gallery.gen_gallery", "matplotlib.sphinxext.plot_directive", "ext.accepted_claims",
              "ext.computed", "ext.explorer", "ext.notebooks"]
templates_path = ["_templates"]
exclude_patterns = ["_build", "jupyter_execute", "tables", "gallery/scripts", "gallery/generated/*.ipynb", "gallery/generated/*.py",
                    "sg_execution_times.rst", *([] if notebooks else ["notebooks"])]
suppress_warnings = [] if notebooks else ["toc.excluded", "myst.xref_missing"]
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3

nb_execution_mode = "force"           # the notebooks hold no outputs
nb_execution_raise_on_error = True
nb_execution_timeout = 300            # seconds a cell

default_role = "py:obj"              # in docstrings, a name in backticks is a link where there is a target
autodoc_member_order = "bysource"
autodoc_typehints = "none"           # docstrings give shapes and meaning
autodoc_preserve_defaults = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
napoleon_google_docstring = napoleon_use_param = napoleon_use_rtype = False

# All pages are made again when the packages, the gallery's modules or the campaign's files change; their runs are cached besides.
digest = digest_sources() + hash_sources(HERE.glob("data/**/*.nc"))
digest_of_last_build = HERE / "gallery" / "generated" / "sources.digest"

sphinx_gallery_conf = {
    "run_stale_examples": not digest_of_last_build.exists() or digest_of_last_build.read_text() != digest,
    "parallel": 2,
    "examples_dirs": "gallery/scripts",
    "gallery_dirs": "gallery/generated",
    "filename_pattern": "plot_",
    "within_subsection_order": "gallery.pages.sort_by_cost",      # of running; scripts/index.rst shows them by name
    "copyfile_regex": r"index\.rst",
    "backreferences_dir": "gallery/generated/backreferences",
    "capture_repr": (),
    "image_scrapers": ("ext.figure_scraper.save_figures",),
    "thumbnail_size": (800, 560),       # the front page shows some of them
    "download_all_examples": False,
    "show_signature": False,
    "min_reported_time": 1e9,            # no timings on the pages
    "write_computation_times": False,
    "abort_on_example_error": True,
}

# Drawings that pages include; their scripts are in drawings/.
plot_formats = [("png", 150)]
plot_html_show_formats = plot_html_show_source_link = False

# Vendored (mathjax 3.2.2, Apache-2.0, with its licence): the site must build and read without a network.
mathjax_path = "mathjax/tex-svg.js"

html_theme = "pydata_sphinx_theme"
html_title = "lazyrich"
html_extra_path = ["findings.json", "findings.schema.json"]
html_static_path = ["_static", "../toymodels/explorer/explorer.html"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_sidebars = {name: [] for name in ("index", "start", "theory", "figures", "campaign")}      # no pages beneath, or wide tables
html_sidebars["**"] = ["sidebar-nav-bs"]
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": False, "show_prev_next": False, "navbar_align": "left",
                      "secondary_sidebar_items": ["page-toc"], "footer_start": ["copyright"], "footer_end": []}
if (repository := find_repository()) is not None:      # links and versions, where the site is published
    html_baseurl = f"{repository.site}{repository.ref}/"
    html_theme_options |= {"github_url": repository.address, "check_switcher": False,
                           "switcher": {"json_url": f"{repository.site}versions.json", "version_match": repository.ref},
                           "navbar_end": ["version-switcher", "theme-switcher", "navbar-icon-links"]}


def adapt_docstring(app, what, name, obj, options, lines):
    """Adapt our docstrings to napoleon: an item's text stands where it expects a type (`name : text`), and * and | are no markup."""
    text = re.sub(r"^(\w[\w, ]*?) : (.+)$", r"\1\n    \2", "\n".join(lines), flags=re.MULTILINE)
    text = re.sub(r"(``.+?``|`[^`]*`|^ *(?:\.\.|>>>).*$)|([*|])", _escape, text, flags=re.MULTILINE)
    lines[:] = text.split("\n")


def _escape(found):
    # a summary ends at a full stop, and must not end within a formula
    return found[1].replace("... ", "… ").replace(" . ", " · ") if found[1] else "\\" + found[2]


def store_digest(app):
    digest_of_last_build.parent.mkdir(parents=True, exist_ok=True)
    digest_of_last_build.write_text(digest)


def setup(app):
    app.connect("autodoc-process-docstring", adapt_docstring, priority=400)      # before napoleon's own
    app.connect("builder-inited", store_digest, priority=1000)                  # after sphinx-gallery's own
