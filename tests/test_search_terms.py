"""The check of the search of the built site names each term that does not lead to its page."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="a browser types the terms: pip install playwright")
sys.path.append(str(Path(__file__).parent.parent / "docs"))

from search_terms import TERMS, search_site

# a search as Sphinx writes it: results, and then a summary
PAGE = """<!doctype html><html lang="en"><title>Search</title><div id="search-results"></div><script>
const typed = new URLSearchParams(location.search).get("q");
const found = {lazy: ["other.html", "glossary.html#term-lazy"], crowded: [..."abcdefg"].map(n => n + ".html").concat("glossary.html")};
const links = found[typed] ?? [];
const place = document.querySelector("#search-results");
place.innerHTML = "<ul class='search'>" + links.map(l => `<li><a href="${l}">x</a></li>`).join("") + "</ul>";
setTimeout(() => place.insertAdjacentHTML("afterbegin", "<p>Search finished</p>"), 50);
</script></html>"""


def test_terms_that_are_not_found_are_named(tmp_path):
    (tmp_path / "search.html").write_text(PAGE)
    missing = search_site(tmp_path, {"lazy": "glossary", "crowded": "glossary", "gone": "glossary"})
    if missing is None:
        pytest.skip("no browser is installed: apt-get install chromium, or python -m playwright install chromium")
    assert missing == ["'crowded' does not lead to glossary, but to a, b, c, d, e, f", "'gone' does not lead to glossary, but to nothing"]


def test_a_folder_without_a_search_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"search\.html"):
        search_site(tmp_path)


def test_the_pages_are_there():
    docs = Path(__file__).parent.parent / "docs"
    assert all((docs / f"{page}.md").exists() for page in TERMS.values())
