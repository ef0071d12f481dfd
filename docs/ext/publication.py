"""Where the site and the repository are published: their addresses, read from the environment of a workflow or from pyproject.toml.

While neither names a repository, nothing on the site links to one.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent.parent
BRANCH = "gh-pages"         # where the built versions of the site lie beside each other


@dataclass(frozen=True)
class Repository:
    """A repository on GitHub, and the branch or tag from which the site is built."""

    owner: str
    name: str
    ref: str = "main"

    @property
    def address(self) -> str:
        """The repository's own page."""
        return f"https://github.com/{self.owner}/{self.name}"

    @property
    def site(self) -> str:
        """The site's address, which ends with a slash; each version is a folder beneath it."""
        return f"https://{self.owner.lower()}.github.io/{self.name}/"

    @property
    def requirement(self) -> str:
        """What pip installs lazyrich from."""
        return f"lazyrich[deep] @ git+{self.address}@{self.ref}"

    def link_colab(self, notebook: str) -> str:
        """Return the address that opens a notebook of the built site, which installs from this repository, in Colab."""
        return f"https://colab.research.google.com/github/{self.owner}/{self.name}/blob/{BRANCH}/{self.ref}/_notebooks/{notebook}.ipynb"

    def link_binder(self, notebook: str) -> str:
        """Return the address that opens a notebook of the repository in Binder, whose environment is in ``binder/``."""
        return f"https://mybinder.org/v2/gh/{self.owner}/{self.name}/{self.ref}?urlpath=lab/tree/docs/notebooks/{notebook}.ipynb"


def find_repository() -> Repository | None:
    """Return the repository that a workflow on GitHub names, or else ``[project.urls] Repository``; None where there is neither."""
    if slug := os.environ.get("GITHUB_REPOSITORY"):
        return Repository(*slug.split("/"), os.environ.get("GITHUB_REF_NAME") or "main")
    address = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"].get("Repository")
    return None if address is None else Repository(*urlsplit(address).path.strip("/").removesuffix(".git").split("/"))
