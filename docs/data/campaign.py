"""The campaign: the paper's planes measured again on a GPU, in pieces of minutes, kept as small netCDF files with their provenance.

    python docs/data/campaign.py --data FOLDER        # what is left, most telling first; again after any interruption
    python docs/data/campaign.py --dry-run            # estimates of time and memory, nothing is run
    python docs/data/campaign.py --scale tiny --out /tmp/tiny

Needs torch, numpy, scipy and xarray alone. Results go to docs/data/campaign; what is there is not measured again.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(p) for p in (HERE, HERE.parent, HERE.parent.parent) if str(p) not in sys.path]

from pieces.estimates import H200, Machine, machine
from pieces.piece import Cost, Piece
from validation.arguments import Misuse

DONE, FAILED, MISUSE, INTERRUPTED = 0, 1, 2, 130


def pieces(scale: str, device: str, data: str | None = None, shapes: bool = False) -> Iterator[Piece]:
    """Yield the campaign's pieces, most telling first; with `shapes` they can be estimated where there are no pictures, and not run."""
    from dataclasses import replace

    from pieces.consistency import consistency
    from pieces.curvature import curvature
    from pieces.phenomena import phenomena
    from pieces.portraits import portraits
    from pieces.scale import SCALES
    from pieces.shapes import Shapes
    from pieces.speed import speed

    size = SCALES[scale](data)
    if shapes:
        size = replace(size, images=Shapes)
    for part in (speed, portraits, curvature, consistency, phenomena):
        yield from part(size, device)


def plan(chosen: Sequence[Piece], folder: Path, on: Machine) -> str:
    """Return the table of pieces, each with what it is estimated to take on a machine, in markdown."""
    lines = ["| piece | figure | what | parts left | TFLOP | seconds | GB |", "|" + "---|" * 7]
    total = longest = 0.0
    for piece in chosen:
        left = piece.left(folder)
        costs = [p.cost(on) for p in left]
        whole = Cost(sum(c.operations for c in costs), sum(c.seconds for c in costs), max((c.memory for c in costs), default=0.0))
        total, longest = total + whole.seconds, max([longest, *(c.seconds for c in costs)])
        told = ("done", "", "", "") if not left else (f"{len(left)} of {len(piece.parts)}", f"{whole.operations / 1e12:.3g}",
                                                      f"{whole.seconds:.3g}", f"{whole.memory / 1e9:.3g}")
        lines.append(f"| {piece.name} | {piece.figure} | {piece.what} | {' | '.join(told)} |")
    return "\n".join([*lines, "", f"{len(chosen)} pieces; {total / 60:.3g} minutes left by these estimates, the longest part "
                                  f"{longest / 60:.2g} minutes."])


def run(chosen: Sequence[Piece], folder: Path, device: str, minutes: float) -> int:
    """Measure what is left, until the time is up; return the exit code."""
    end, code = time.monotonic() + 60 * minutes, DONE
    for number, piece in enumerate(chosen, start=1):
        if piece.done(folder):
            continue
        try:
            for told in piece.run(folder, device):
                print(f"[{number}/{len(chosen)}] {told}", flush=True)
                if time.monotonic() > end and piece.left(folder):
                    break
        except Misuse:
            raise
        except Exception:
            traceback.print_exc()
            print(f"[{number}/{len(chosen)}] {piece.name} failed; the others go on", file=sys.stderr, flush=True)
            code = FAILED
        if time.monotonic() > end:
            left = sum(not p.done(folder) for p in chosen)
            print(f"{minutes:g} minutes are up; {left} pieces are left, and the same command goes on with them")
            break
    return code


def campaign(scale: str = "full", device: str = "auto", data: Path | None = None, out: Path | None = None, only: Sequence[str] = (),
             minutes: float = float("inf"), dry_run: bool = False) -> int:
    """Run the campaign, or tell what it would take; return the exit code. The arguments are those of the command line."""
    from deepnets.device import as_device

    absent = dry_run and device == "auto" and as_device(device) == "cpu"         # estimates are for a GPU, also where there is none
    device, folder = as_device(device), out or HERE / "campaign"
    path = None if data is None else str(data)
    try:
        chosen = list(pieces(scale, device, path))
    except Misuse:
        chosen = list(pieces(scale, device, shapes=True))
        _named(chosen, only)        # a name that there is not is told before files that there are not
        if not dry_run or data is not None:
            raise
        print("The pictures are not at hand: what is done cannot be told, all of it is estimated.\n")
    chosen = _named(chosen, only)
    if dry_run:
        print(plan(chosen, folder, H200 if absent else machine(device)))
        return DONE
    return run(chosen, folder, device, minutes)


def _named(chosen: list[Piece], only: Sequence[str]) -> list[Piece]:
    """Return the pieces whose names begin as told, all where nothing is."""
    if unknown := [o for o in only if not any(p.name.startswith(o) for p in chosen)]:
        raise Misuse(f"only must be the beginnings of names, such as {chosen[0].name}, not {', '.join(unknown)}; "
                     f"there are {', '.join(p.name for p in chosen)}")
    return [p for p in chosen if p.name.startswith(tuple(only))] if only else chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=("full", "tiny"), default="full")
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu, cuda or cuda:1")
    parser.add_argument("--data", type=Path, help="the folder of Fashion-MNIST's four files; if not given, the usual places")
    parser.add_argument("--out", type=Path, help="where results go; if not given, docs/data/campaign")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="pieces whose names begin so, such as b or b-mlp-L3")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no part after so many")
    parser.add_argument("--dry-run", action="store_true",
                        help="estimates, nothing is run; for one H200 unless --device says cpu or a GPU is there")
    try:
        return campaign(**vars(parser.parse_args(arguments)))
    except Misuse as error:
        print(f"campaign: {error}", file=sys.stderr)
        return MISUSE
    except KeyboardInterrupt:
        print("campaign: interrupted; the same command goes on", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
