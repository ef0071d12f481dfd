"""Measure the paper's planes again on a GPU, in pieces of minutes that are stored as small netCDF files with their provenance.

    python docs/data/campaign.py --data FOLDER        # measure what is missing; rerun the same command to resume
    python docs/data/campaign.py --dry-run            # estimate time and memory, run nothing
    python docs/data/campaign.py --scale tiny --out /tmp/tiny

Needs only torch, numpy, scipy, xarray, h5py and matplotlib. Results go to docs/data/campaign; a stored piece is not measured again.
"""

from __future__ import annotations

import sys

try:
    from pathlib import Path

    HERE = Path(__file__).resolve().parent
    sys.path[:0] = [str(p) for p in (HERE, HERE.parent, HERE.parent.parent) if str(p) not in sys.path]

    from validation.interrupts import handle_interrupts
except KeyboardInterrupt:
    sys.exit(130)

if __name__ == "__main__":
    handle_interrupts("campaign")

import argparse
from collections.abc import Iterator, Sequence

from deepnets.cost import H200, find_machine
from deepnets.parts import Piece, list_costs, measure_pieces
from validation.arguments import Misuse
from validation.reporting.streams import DONE, catch_errors, run_program
from validation.storage.atomic import expand_home
from validation.storage.files import check_writable

FAILED = 1


def list_pieces(scale: str, device: str, data: str | None = None, shapes: bool = False) -> Iterator[Piece]:
    """Yield the pieces, most informative first; with `shapes` they need no image files, and can be estimated but not run."""
    from pieces.consistency import list_consistency
    from pieces.planes import list_portraits, list_speed
    from pieces.recorded_runs import list_curvature, list_phenomena
    from pieces.scale import choose_scale

    size = choose_scale(scale, data, shapes)
    for list_some in (list_speed, list_portraits, list_curvature, list_consistency, list_phenomena):
        yield from list_some(size, device)


def select(pieces: list[Piece], only: Sequence[str]) -> list[Piece]:
    """Return the pieces whose names begin with one of `only`, or all of them if it is empty."""
    if unknown := [o for o in only if not any(p.name.startswith(o) for p in pieces)]:
        raise Misuse(f"only must be the beginnings of names, such as {pieces[0].name}, not {', '.join(unknown)}; "
                     f"there are {', '.join(p.name for p in pieces)}")
    return [p for p in pieces if p.name.startswith(tuple(only))] if only else pieces


def campaign(scale: str = "full", device: str = "auto", data: Path | None = None, out: Path | None = None, only: Sequence[str] = (),
             minutes: float = float("inf"), dry_run: bool = False) -> int:
    """Run the campaign or print its estimates; return the exit code. The arguments are those of the command line."""
    from deepnets.device import as_device

    if not minutes >= 0:
        raise Misuse(f"minutes must be a number of at least zero, not {minutes!r}")
    no_gpu = dry_run and device == "auto" and as_device(device) == "cpu"
    device, folder = as_device(device), expand_home("out", out or HERE / "campaign")
    if not dry_run:
        check_writable(folder)
    try:
        pieces = select(list(list_pieces(scale, device, None if data is None else str(data))), only)
    except Misuse:
        pieces = select(list(list_pieces(scale, device, shapes=True)), only)        # an unknown name is reported before missing files
        if not dry_run or data is not None:
            raise
        print("The image files are missing: every piece is estimated, done or not.\n")
    if dry_run:
        print(list_costs(pieces, folder, H200 if no_gpu else find_machine(device)))
        return DONE
    return DONE if measure_pieces(pieces, folder, device, minutes) else FAILED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 done, 1 a piece failed, 2 misuse, 130 interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=("full", "tiny"), default="full")
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu, cuda or cuda:1")
    parser.add_argument("--data", type=Path, help="the folder of Fashion-MNIST's four files; if not given, the usual places")
    parser.add_argument("--out", type=Path, help="the folder of results; if not given, docs/data/campaign")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="pieces whose names begin so, such as b or b-mlp-L3")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no part after so many minutes")
    parser.add_argument("--dry-run", action="store_true", help="estimate costs, run nothing; for an H200 unless a device is given or found")
    given = vars(parser.parse_args(arguments))
    return catch_errors("campaign", lambda: campaign(**given))


if __name__ == "__main__":
    run_program("campaign", main)
