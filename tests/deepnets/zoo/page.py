"""The table of the page of compatibility: every module of the zoo, run while the site is built and cached on disk."""

from __future__ import annotations

import hashlib
import re
from importlib.metadata import version
from pathlib import Path
from textwrap import shorten

from tests.deepnets.zoo.comparison import GAMMAS, compare, list_once
from tests.deepnets.zoo.entry import ZOO
from tests.deepnets.zoo.reference import STEPS

Row = tuple[str, str, str, float | None, str]      # module, loss, how it was trained, difference, why


def measure(sources: str, libraries: dict[str, str]) -> list[Row]:
    """Return a row for each module, with one loss; the arguments, of which none is used, are what a cached result depends on."""
    from joblib import Parallel, delayed

    return Parallel(n_jobs=2)(delayed(measure_one)(entry.name, loss) for entry, loss in list_once())


def measure_one(name: str, loss: str) -> Row:
    """Return the row of a module and a loss."""
    import torch

    torch.set_num_threads(1)
    result = compare(ZOO[name], loss)
    if not result.right:
        raise ValueError(f"the page of compatibility would show {result}")
    return name, loss, result.how, result.difference, result.why


def make_table() -> str:
    """Return the page's tables, one for each family of modules, in markdown."""
    from gallery.disk_cache import cache_on_disk

    files = sorted(p for p in Path(__file__).parent.iterdir() if p.suffix in (".py", ".json"))
    sources = hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()
    names = sorted({e.library for e in ZOO.values() if e.library and e.installed})
    rows = cache_on_disk(measure)(sources, {"torch": version("torch"), **{name: version(name) for name in names}})
    trained = [row for row in rows if row[3] is not None]
    largest = max(row[3] for row in trained)
    count = len({row[0] for row in rows})
    lines = [f"{count} modules, {len(rows)} planes of {len(GAMMAS)} runs of {STEPS} steps, with torch {version('torch')}"
             + "".join(f", {name} {version(name)}" for name in names) + ". **No module is silently trained as another network**; the "
             f"largest difference is {largest:.0e} of the movement."]
    measured = {row[0] for row in rows}
    for family in dict.fromkeys(ZOO[name].family for name in ZOO if name in measured):
        lines += [f"\n**{family.capitalize()}**\n", "| module | trained as | largest difference |", "|---|---|---|"]
        for entry in ZOO.values():
            if entry.family == family and (own := [row for row in rows if row[0] == entry.name]):
                how = ", ".join(dict.fromkeys(_describe(*row[2:]) for row in own))
                differences = [row[3] for row in own if row[3] is not None]
                lines.append(f"| {_escape(entry.name)} | {how} | {f'{max(differences):.0e}' if differences else ''} |")
    return "\n".join(lines) + "\n"


def _describe(how: str, difference: float | None, why: str) -> str:
    """Return how a module was trained, and the reason without the path of the file that it names."""
    reason = re.sub(r"differences could not be propagated through \w+: |\. Float64 copies.*|, and differences cannot be propagated.*|"
                    r" \((?:in \w+|/).*", "", why.splitlines()[0] if why else "")
    return how + (f": {_escape(shorten(reason, 1000 if how == 'refused' else 110, placeholder=' ...'))}" if reason else "")


def _escape(text: str) -> str:
    return re.sub(r"([|*_<>\[\]$`])", r"\\\1", text)
