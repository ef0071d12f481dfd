"""The explorer in the documentation: every preset that a page embeds exists."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent.parent.parent / "docs"
SCRIPTS = {"figure-6": "plot_figure_06", "figure-8": "plot_figure_08", "figure-9": "plot_figure_09", "figure-11": "plot_figure_11",
           "fractal-edge": "plot_open_fractal_edges", "periods": "plot_open_cycles"}


def test_pages_embed_presets_that_exist():
    source = DOCS.parent / "toymodels" / "explorer" / "source" / "presets.js"
    presets = set(re.findall(r'\{name: "([\w-]+)", title: "', source.read_text()))
    assert presets >= SCRIPTS.keys()
    for name, script in SCRIPTS.items():
        assert re.findall(r"^# \.\. explorer:: (\S+)$", (DOCS / "gallery" / "scripts" / f"{script}.py").read_text(), re.MULTILINE) == [name]
    for page in ("index.md", "explorer.md"):
        [(name, options)] = re.findall(r"^```\{explorer\} (\S+)\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
        assert name in presets
        assert re.fullmatch(r":picture: (\S+)\n:shows: .{40,}\n", options)
        assert (DOCS / re.search(r":picture: (\S+)", options)[1]).exists()


def test_the_directive_embeds_the_page_and_a_picture(tmp_path):
    pytest.importorskip("sphinx", reason="sphinx is not installed; pip install -e '.[docs]' lets the directive be tried")
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    (tmp_path / "deep").mkdir()
    (tmp_path / "index.rst").write_text("Page\n====\n\n.. explorer:: figure-6\n   :picture: picture.png\n   :shows: A plane\n\n"
                                        ".. toctree::\n\n   deep/a\n")
    (tmp_path / "deep" / "a.rst").write_text("A\n=\n\n.. explorer:: figure-8\n")
    (tmp_path / "picture.png").write_bytes((DOCS / "_static" / "figure6.png").read_bytes())
    (tmp_path / "conf.py").write_text(f"import sys\nsys.path.insert(0, {str(DOCS)!r})\nextensions = ['ext.explorer']\n")

    def build():
        with patch_docutils(), docutils_namespace():
            app = Sphinx(tmp_path, tmp_path, tmp_path / "site", tmp_path / "trees", "html", status=None, warning=None)
            app.build()
            return app.statuscode

    assert build() == 0
    front, deep = (tmp_path / "site" / "index.html").read_text(), (tmp_path / "site" / "deep" / "a.html").read_text()
    assert 'src="_static/explorer.html#preset=figure-6"' in front
    assert re.search(r'<noscript><style>[^<]*</style>\s*<img alt="A plane" src="_images/picture\.png"', front)
    assert 'src="../_static/explorer.html#preset=figure-8"' in deep
