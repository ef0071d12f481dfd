"""The findings of all pages as data: gather them, compare them with those that were accepted, accept them, print them.

`docs/findings.json` holds the accepted ones, in the form that `docs/findings.schema.json` describes. A build of the site compares its own
with them, and fails if a claim has appeared, vanished or moved, or its verdict has changed. Run ``python -m gallery.claims`` in docs/ after
such a build to accept what it found: it prints what changed, and writes the file. With names of pages, as `lazyrich figure` takes them, it
runs these pages and accepts what they find.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gallery.findings import format_interval
from gallery.pages import names, page_name, run_page, script, title
from validation.arguments import Misuse

FOLDER = Path(__file__).resolve().parent.parent       # docs, or what stands for it where lazyrich is installed without a clone
FILE = FOLDER / "findings.json"
GENERATED = FOLDER / "gallery" / "generated"
VERDICTS = ("SUPPORTED", "CONTRADICTED", "UNDECIDED", "IDENTITY")
SAME = 1e-6         # relative; numbers that differ by less are the same
Claim = dict[str, Any]


def gather_claims(generated: Path = GENERATED) -> dict[str, Any]:
    """Return the findings of the pages that a build has run, as `docs/findings.json` holds them.

    Parameters
    ----------
    generated : the folder with one ``.findings.json`` a page.
    """
    pages, claims = {}, []
    for path in dict.fromkeys(names().values()):
        file = generated / f"{path.stem}.findings.json"
        rows = json.loads(file.read_text()) if file.exists() else []
        if rows:
            pages[page_name(path)] = describe_page(path)
        claims += [describe_claim(page_name(path), row) for row in rows]
    return describe_origin() | {"pages": pages, "claims": claims}


def describe_page(path: Path) -> dict[str, Any]:
    """Return a page's title, address, code and data."""
    return {"title": title(path), "address": f"gallery/generated/{path.stem}.html", "code": f"docs/gallery/scripts/{path.name}",
            "data": list_data(path)}


def describe_origin() -> dict[str, str]:
    """Return the version, the commit and the kind of processor with which findings are accepted."""
    from validation.provenance import collect_provenance

    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]      # what is installed may be older
    return {"version": project["version"], "revision": collect_provenance().get("git_revision", "unknown"), "processor": name_processor()}


def name_processor() -> str:
    """Return the kind of processor for which numba compiles."""
    from llvmlite import binding
    from numba.core import config

    return str(config.CPU_NAME or binding.get_host_cpu_name())


def describe_claim(page: str, row: Mapping[str, Any]) -> Claim:
    """Return one finding: numbers that are not finite are None."""
    low, high = row["interval"]
    return {"page": page, "figure": row["figure"], "name": row["what"], "predicted": row["claim"],
            "range": [_finite(end) for end in row["claimed"]], "measured": _finite(row["measured"]),
            "interval": None if low == high else [_finite(low), _finite(high)], "verdict": row["verdict"]}


def _finite(number: float) -> float | None:
    return float(f"{number:.8g}") if math.isfinite(number) else None


def list_data(script: Path) -> list[dict[str, str]]:
    """Return the stored files that a page reads, with digests and revisions; a page without any trains all it needs."""
    import xarray as xr

    text, page = script.read_text(), script.stem.removeprefix("plot_")
    files = sorted((FOLDER / "data" / "kept").glob(f"{page}-*.nc"))
    files += [FOLDER / "data" / "network_exponents.nc"] if "gallery.network_exponents" in text else []
    found = []
    for file in files:
        with xr.open_dataset(file, engine="scipy") as data:
            found.append({"file": f"docs/{file.relative_to(FOLDER).as_posix()}", "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                          "revision": data.attrs.get("git_revision", "unknown"), "created": data.attrs.get("created", "unknown")})
    return found


def read_claims(path: Path = FILE) -> dict[str, Any]:
    """Return the accepted findings; none where there is no file yet."""
    if not path.exists():
        return {"version": "unknown", "revision": "unknown", "processor": "unknown", "pages": {}, "claims": []}
    return json.loads(path.read_text(encoding="utf-8"))      # type: ignore[no-any-return]


def compare_claims(accepted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each claim that has appeared, vanished or moved, or whose verdict has changed.

    Every verdict must stay; a number may move within its interval, and one without an interval must stay. Another kind of processor rounds
    differently, and trains other runs where they are chaotic: of 180 claims two that are near the border of their range became UNDECIDED.
    There a verdict may come from or change to UNDECIDED, numbers may move, and all else fails as before.
    """
    former = {_key(claim): claim for claim in accepted["claims"]}
    now = {_key(claim): claim for claim in found["claims"]}
    repeated = [key for key, count in Counter(map(_key, found["claims"])).items() if count > 1]
    sentences = [f"{_name(key)}: two claims have this name" for key in repeated]
    sentences += [f"{_name(key)}: it is new, and {now[key]['verdict']}" for key in now if key not in former]
    sentences += [f"{_name(key)}: it was {former[key]['verdict']}, and there is no such claim" for key in former if key not in now]
    alike = accepted["processor"] == found["processor"]
    for key in (key for key in now if key in former):
        sentences += [f"{_name(key)}: {change}" for change in _compare_one(former[key], now[key], alike)]
    return sentences


def _compare_one(former: Claim, now: Claim, alike: bool) -> Iterator[str]:
    if former["verdict"] != now["verdict"]:
        if alike or "UNDECIDED" not in (former["verdict"], now["verdict"]):
            yield f"it was {former['verdict']} ({_number(former)}), and is {now['verdict']} ({_number(now)})"
    elif alike and not _within(former, now):
        yield f"it was {_number(former)}, and is {_number(now)}"
    if not all(_close(a, b, 1e-3) for a, b in zip(former["range"], now["range"], strict=True)):
        yield f"the prediction was {former['predicted']}, and is {now['predicted']}"


def _within(former: Claim, now: Claim) -> bool:
    """Return whether a measured number lies in the interval that it had, or, of a number without one, is nearly the same."""
    if former["measured"] is None or now["measured"] is None:
        return former["measured"] == now["measured"]
    if former["interval"] is None:
        return _close(former["measured"], now["measured"], SAME)
    low, high = (other if end is None else end for end, other in zip(former["interval"], (-math.inf, math.inf), strict=True))
    return bool(low <= now["measured"] <= high)


def _close(a: float | None, b: float | None, tolerance: float) -> bool:
    return a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance))


def _key(claim: Claim) -> tuple[str, str, str]:
    return claim["page"], claim["figure"], claim["name"]


def _name(key: Sequence[str]) -> str:
    return f"page {key[0]}, {key[1]}: {key[2]}"


def _number(claim: Claim) -> str:
    measured = math.nan if claim["measured"] is None else claim["measured"]
    number, ends = format_interval(measured, read_interval(claim))
    return f"{number} ({ends})" if ends else number


def read_interval(claim: Claim) -> tuple[float, float]:
    """Return the ends of a claim's interval; those of an exact number are the number."""
    measured = math.nan if claim["measured"] is None else claim["measured"]
    low, high = claim["interval"] or (measured, measured)
    return -math.inf if low is None else low, math.inf if high is None else high


def choose_claims(claims: Sequence[Claim], pages: Mapping[str, Any], words: Sequence[str] = (), verdict: str | None = None) -> list[Claim]:
    """Return the claims in whose page, title, figure or name each of the words stands, and that have a verdict, if one is given."""
    def text(claim: Claim) -> str:
        return " ".join((claim["page"], pages[claim["page"]]["title"], claim["figure"], claim["name"])).lower()

    return [claim for claim in claims if all(word.lower() in text(claim) for word in words) and verdict in (None, claim["verdict"])]


def format_claims(claims: Sequence[Claim], pages: Mapping[str, Any]) -> str:
    """Return claims as text: a line each below the title of their page, and how many have which verdict."""
    lines = []
    for page in dict.fromkeys(claim["page"] for claim in claims):
        lines.append(f"{pages[page]['title']} ({page})")
        for claim in (claim for claim in claims if claim["page"] == page):
            lines.append(f"  {claim['verdict']:<12} {claim['figure']}: {claim['name']}: predicted {claim['predicted']}, "
                         f"measured {_number(claim)}")
    counted = Counter(claim["verdict"] for claim in claims)
    shares = ", ".join(f"{counted[verdict]} {verdict}" for verdict in VERDICTS if counted[verdict])
    return "\n".join([*lines, f"{len(claims)} claim{'s' * (len(claims) != 1)}" + (f": {shares}" if shares else "")])


def write_claims(found: Mapping[str, Any], path: Path = FILE) -> None:
    """Write the findings as accepted, a claim a line, so that a change can be read as a difference of text."""
    from validation.storage.atomic import publish

    def block(items: Sequence[str]) -> str:
        return ",\n  ".join(items)

    pages = block([f"{json.dumps(name)}: {json.dumps(page, ensure_ascii=False)}" for name, page in found["pages"].items()])
    claims = block([json.dumps(claim, ensure_ascii=False) for claim in found["claims"]])
    head = "".join(f" {json.dumps(name)}: {json.dumps(found[name])},\n" for name in ("version", "revision", "processor"))
    publish(path, f'{{\n{head} "pages": {{\n  {pages}\n }},\n "claims": [\n  {claims}\n ]\n}}\n'.encode())


def replace_pages(accepted: Mapping[str, Any], scripts: Sequence[str]) -> dict[str, Any]:
    """Run pages, named as `lazyrich figure` takes them, and return the accepted findings with theirs in place of the former ones."""
    now = {page_name(script(name)): (script(name), run_page(name)) for name in scripts}
    if broken := [page.broken for _, page in now.values() if page.broken]:
        raise Misuse("; ".join(broken))
    pages = dict(accepted["pages"]) | {name: describe_page(path) for name, (path, page) in now.items() if page.findings}
    claims: list[Claim] = []
    for name in [page_name(path) for path in dict.fromkeys(names().values())]:
        claims += ([describe_claim(name, asdict(row)) for row in now[name][1].findings] if name in now else
                   [claim for claim in accepted["claims"] if claim["page"] == name])
    order = dict.fromkeys(claim["page"] for claim in claims)
    return {**accepted, **describe_origin(), "pages": {name: pages[name] for name in order}, "claims": claims}


def main(scripts: Sequence[str] = ()) -> int:
    """Accept the findings of the last build, or of pages that are run now: print what changed, and write the file."""
    try:
        found = replace_pages(read_claims(), scripts) if scripts else gather_claims()
    except Misuse as error:
        print(error, file=sys.stderr)
        return 2
    if not found["claims"]:
        print(f"no page was run: there are no findings in {GENERATED}", file=sys.stderr)
        return 2
    for sentence in compare_claims(read_claims(), found):
        print(sentence)
    write_claims(found)
    print(f"{len(found['claims'])} claims written to {FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
