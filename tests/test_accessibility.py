"""The check of the site's pages in a browser finds what is wrong with a page; `.ci/run` applies it to the site itself."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("axe_playwright_python", reason="axe checks the pages: pip install axe-playwright-python")
sys.path.append(str(Path(__file__).parent.parent / "docs"))

from accessibility import PAGES, check_site

HEAD = '<!doctype html><html lang="en"><head><title>A page</title><meta name="viewport" content="width=device-width"></head><body><main>'
FAULTS = {
    "silent": ('<h1>A page</h1><img src="x.png">', ["image-alt", "image-alt"]),
    "pale": ('<h1>A page</h1><p style="color: #bbb; background: #fff">Pale</p>', ["color-contrast", "color-contrast"]),
    "nameless": ("<h1>A page</h1><button></button>", ["button-name", "button-name"]),
    "wide": ('<h1>A page</h1><div style="width: 900px">Wide</div>', ["pixels wide on a screen of 375"]),
    "whole": ('<h1>A page</h1><p>Text</p><img src="x.png" alt="A plane">', []),
}


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    for name, (body, _) in FAULTS.items():
        (site / f"{name}.html").write_text(f"{HEAD}{body}</main></body></html>")
    found = check_site(site, pages=tuple(FAULTS))
    if found is None:
        pytest.skip("no browser is installed: apt-get install chromium, or python -m playwright install chromium")
    return found


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_a_page_are_found(name, faults):
    own = [fault for fault in faults if fault.startswith(f"{name}, ")]
    assert len(own) == len(FAULTS[name][1])
    assert all(what in fault for what, fault in zip(FAULTS[name][1], own, strict=True))


def test_a_page_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"{PAGES[0]}\.html"):
        check_site(tmp_path)
