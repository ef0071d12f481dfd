"""Type the field's terms into the search of the built site, in a browser, and check which pages it finds first.

    python docs/search_terms.py SITE       (of a site built anew: an incremental build may leave terms of the glossary out of its index)

Prints each term whose page is not among the first results; the exit code is then 1. Without a browser nothing is checked, and a
sentence says so.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from accessibility import browse

FIRST = 6       # results that people read
# what is typed -> the page that must be among the first results
TERMS = dict.fromkeys(("edge of stability", "muP", "NTK", "lazy", "rich", "catapult", "learning-rate transfer", "central flow", "SignSGD",
                       "coordinate check", "step size", "neural tangent kernel", "feature learning"), "glossary")
TERMS |= {"progressive sharpening": "phenomena", "optuna": "judge_a_sweep", "weight decay": "glossary", "errata": "errata"}


def search_site(site: Path, terms: dict[str, str] | None = None) -> list[str] | None:
    """Return a sentence for each term whose page is not found; None without a browser.

    Raises
    ------
    FileNotFoundError : the folder holds no site with a search.
    """
    if not (site / "search.html").is_file():
        raise FileNotFoundError(site / "search.html")
    missing = []
    with browse(site) as found:
        if found is None:
            return None
        browser, address = found
        page = browser.new_page()
        for term, wanted in (TERMS if terms is None else terms).items():
            page.goto(f"{address}/search.html?q={term}", wait_until="load")
            # the search is over when its summary stands below the box
            page.wait_for_function("() => /finished|did not match/i.test(document.querySelector('#search-results')?.textContent ?? '')")
            links = page.eval_on_selector_all("#search-results ul.search > li > a", "links => links.map(link => link.getAttribute('href'))")
            pages = [link.partition("#")[0].removesuffix(".html") for link in links[:FIRST]]
            if wanted not in pages:
                missing.append(f"{term!r} does not lead to {wanted}, but to {', '.join(pages) or 'nothing'}")
    return missing


def main() -> int:
    """Search a site, and print what is not found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path)
    missing = search_site(parser.parse_args().site)
    if missing is None:
        print("no browser is installed: nothing was searched")
        return 0
    print("\n".join([*missing, f"{len(TERMS) - len(missing)} of {len(TERMS)} terms lead to their pages"]))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
