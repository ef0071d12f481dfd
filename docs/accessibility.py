"""Check pages of the built site in a browser: at the size of a laptop and of a phone, with the rules of axe.

    python docs/accessibility.py SITE [--screenshots FOLDER]

Prints each fault that axe calls serious or critical, with the elements concerned, and each page that is wider than a phone. The exit
code is 1 if there is a fault. Without a browser nothing is checked, and a sentence says so.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

PAGES = ("index", "student", "theorist", "engineer", "runs_you_have", "glossary", "guides", "start", "theory", "networks", "your_network",
         "judge_a_sweep", "figures", "gallery/generated/plot_figure_06", "_static/explorer")
SIZES = {"laptop": (1280, 860), "phone": (375, 740)}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
GRAVE = ("serious", "critical")


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, *arguments: Any) -> None:
        """Write nothing."""


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder to this machine, and yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def browse(site: Path) -> Iterator[tuple[Any, str] | None]:
    """Serve a site and start a browser; yield it and the site's address, or None where no browser is on this machine."""
    with sync_playwright() as playwright, serve(site) as address:
        own = playwright.chromium.executable_path
        path = next(filter(None, map(shutil.which, BROWSERS)), own if Path(own).exists() else None)
        if path is None:
            yield None
            return
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser, address
        browser.close()


def list_faults(page: Any) -> list[str]:
    """Return the faults of an open page, a line each."""
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    faults = [f"{fault['help']} ({fault['id']}, {fault['impact']}): " + "; ".join(node["html"][:160] for node in fault["nodes"][:4])
              + (f"; and {len(fault['nodes']) - 4} more" if len(fault["nodes"]) > 4 else "")
              for fault in found if fault["impact"] in GRAVE]
    width, wide = page.viewport_size["width"], page.evaluate("document.documentElement.scrollWidth")
    return faults + ([f"the page is {wide} pixels wide on a screen of {width}"] if wide > width else [])


def check_site(site: Path, screenshots: Path | None = None, pages: tuple[str, ...] = PAGES) -> list[str] | None:
    """Return the faults of the pages of a built site at both sizes; None without a browser.

    Raises
    ------
    FileNotFoundError : the site lacks a page.
    """
    for name in pages:
        if not (site / f"{name}.html").is_file():
            raise FileNotFoundError(site / f"{name}.html")
    faults = []
    with browse(site) as found:
        if found is None:
            return None
        browser, address = found
        for size, (width, height) in SIZES.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            for name in pages:
                page.goto(f"{address}/{name}.html", wait_until="load")
                faults += [f"{name}, {size}: {fault}" for fault in list_faults(page)]
                if screenshots:
                    page.screenshot(path=screenshots / f"{name.replace('/', '-')}-{size}.png")
    return faults


def main() -> int:
    """Check a site and print its faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path)
    parser.add_argument("--screenshots", type=Path)
    options = parser.parse_args()
    faults = check_site(options.site, options.screenshots)
    if faults is None:
        print("no browser is installed: the pages were not checked")
        return 0
    print("\n".join([*faults, f"{len(faults)} faults on {len(PAGES)} pages"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
