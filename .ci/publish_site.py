"""Put a built site beside the other versions: copy it into a folder of its own, list the versions, lead visitors to the newest release.

Usage: python .ci/publish_site.py BUILT PUBLISHED VERSION ADDRESS
BUILT is the site, PUBLISHED the folder with a folder for each version, VERSION a branch or tag, ADDRESS where PUBLISHED is served.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

RELEASE = re.compile(r"v\d+\.\d+\.\d+")


def publish_site(built: Path, published: Path, version: str, address: str) -> None:
    """Copy, list and redirect; what was published of this version before is replaced."""
    if not re.fullmatch(r"[\w.-]+", version) or version.startswith("."):
        sys.exit(f"VERSION must be a branch or tag of letters, digits, dots and dashes, not {version!r}")
    if not (built / "index.html").exists():
        sys.exit(f"there is no site in {built}")
    target = published / version
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(built, target)
    versions = list_versions(published)
    newest = next((name for name in versions if RELEASE.fullmatch(name)), versions[0])
    entries = [{"name": name.removeprefix("v") + (" (stable)" if name == newest and RELEASE.fullmatch(name) else ""), "version": name,
                "url": f"{address.rstrip('/')}/{name}/"} | ({"preferred": True} if name == newest else {}) for name in versions]
    (published / "versions.json").write_text(json.dumps(entries, indent=1) + "\n")
    (published / "index.html").write_text(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>lazyrich</title>'
        f'<meta http-equiv="refresh" content="0; url={newest}/"></head><body><a href="{newest}/">lazyrich</a></body></html>\n')
    (published / ".nojekyll").touch()        # or folders that begin with _ would not be served


def list_versions(published: Path) -> list[str]:
    """Return the published versions: branches by name, and then releases, the newest first."""
    names = [path.name for path in published.iterdir() if (path / "index.html").exists()]
    releases = sorted((n for n in names if RELEASE.fullmatch(n)), key=lambda n: [int(part) for part in n[1:].split(".")], reverse=True)
    return [*sorted(set(names) - set(releases)), *releases]


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    publish_site(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
