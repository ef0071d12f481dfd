"""The site's configuration: built offline, warnings as errors, numbers and tables from the code itself."""

import hashlib
import sys
from importlib.metadata import version as installed
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))   # for from_code

from gallery.kept import packages

project = "lazyrich"
author = "The lazyrich authors"
copyright = "The lazyrich authors"   # no year: a rebuild should not change the pages
version = release = installed("lazyrich")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx_gallery.gen_gallery",
              "matplotlib.sphinxext.plot_directive", "from_code",
              "from_networks", "from_campaign"]
exclude_patterns = ["_build", "tables", "gallery/scripts", "gallery/generated/*.ipynb", "gallery/generated/*.py",
                    "sg_execution_times.rst"]
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3

default_role = "py:obj"              # in docstrings, a name in backticks is a link where there is something to link to
autodoc_member_order = "bysource"
autodoc_typehints = "none"           # the annotations stand in the source; the docstrings tell shapes and meaning
autodoc_preserve_defaults = True

# A page is made again where its script has changed, and all of them where the packages, what the scripts share or what a GPU has measured
# have; their runs are kept by digest besides.
shared = sorted([*HERE.glob("gallery/*.py"), *HERE.glob("data/**/*.nc")])
made_of = hashlib.sha256(b"".join([packages().encode(), *(path.name.encode() + path.read_bytes() for path in shared)])).hexdigest()
made_with = HERE / "gallery" / "generated" / "packages.digest"
stale = not made_with.exists() or made_with.read_text() != made_of

sphinx_gallery_conf = {
    "run_stale_examples": stale,
    "parallel": 2,
    "examples_dirs": "gallery/scripts",
    "gallery_dirs": "gallery/generated",
    "filename_pattern": "plot_",
    "within_subsection_order": "from_code.GalleryOrder",      # the default sorts by the length of the code
    "capture_repr": (),                  # what a page has to say it prints; the value of its last line is most often a legend
    "image_scrapers": ("from_code.gallery_figures",),
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1e9,            # no timings on the pages: they are the machine's, not ours
    "write_computation_times": False,
    "only_warn_on_example_error": False,
    "abort_on_example_error": True,
}

# Drawings that pages include; their scripts are in drawings/.
plot_formats = [("png", 150)]
plot_html_show_formats = plot_html_show_source_link = False

# Vendored (mathjax 3.2.2, Apache-2.0, its licence beside it): the site must build and read without a network.
mathjax_path = "mathjax/tex-svg.js"

html_theme = "pydata_sphinx_theme"
html_title = "lazyrich"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_sidebars = {name: [] for name in ("index", "start", "theory", "figures", "campaign")}      # no pages beneath, or wide tables
html_sidebars["**"] = ["sidebar-nav-bs"]
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": False, "show_prev_next": False, "navbar_align": "left",
                      "secondary_sidebar_items": ["page-toc"], "footer_start": ["copyright"], "footer_end": []}


def setup(app):
    """Note, once the gallery is made, what it was made with."""
    def noted(app):
        made_with.parent.mkdir(parents=True, exist_ok=True)
        made_with.write_text(made_of)

    app.connect("builder-inited", noted, priority=1000)      # after sphinx-gallery's own
