"""Interrupt commands at many moments and count how they end: exit code 130 within two seconds, no traceback, no process left.

    python tests/benchmarks/interrupts.py [--moments 12] [--only NAME ...]

The signal goes to the whole group of processes, as Ctrl-C in a terminal does. Not counted are commands that were done before the signal,
and those in which Python had not yet come to the command's first line.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable
LAZYRICH = f"{PYTHON} -m lazyrich"
COMMANDS = {
    "help": f"{LAZYRICH} --help",
    "predict": f"{LAZYRICH} predict",
    "derive": f"{LAZYRICH} predict --model one --derive",
    "toy": f"{LAZYRICH} toy --points 256 --steps 20000 --out out",
    "toy-one": f"{LAZYRICH} toy --points 256 --steps 20000 --loss mse --depth 400 --out out",
    "toy-workers": f"{LAZYRICH} toy --points 256 --steps 20000 --workers 2 --out out",
    "toy-dask": f"{LAZYRICH} toy --points 256 --steps 20000 --cluster local --workers 2 --out out",
    "deep": f"{LAZYRICH} deep --steps 3000 --out out",
    "deep-workers": f"{LAZYRICH} deep --steps 3000 --workers 2 --out out",
    "deep-cnn": f"{LAZYRICH} deep --network cnn --steps 3000 --out out",
    "judge": f"{LAZYRICH} judge p.nc --out out",
    "status": f"{LAZYRICH} sweep status p.zarr",
    "figure": f"{LAZYRICH} figure 8 --out out",
    "make-mnist1m": f"{LAZYRICH} make-mnist1m --digits --count 1000 --steps 50000 --width 16 --out out",
    "campaign": f"{LAZYRICH} campaign --scale tiny --device cpu --out out",
    "deepnets": f"{PYTHON} -m deepnets --steps 3000 --out out",
    "campaign-file": f"{PYTHON} {ROOT / 'docs' / 'data' / 'campaign.py'} --scale tiny --device cpu --out out",
}
LIMIT = 2.0     # seconds from the signal to the end


@dataclass(frozen=True)
class End:
    """How a command ended after the signal."""

    code: int
    seconds: float
    errors: str
    orphans: list[str]

    @property
    def faults(self) -> list[str]:
        """What is wrong with it, if anything."""
        wrong = [f"exit code {self.code}"] if self.code not in (130, 0) else []       # 0: it had just finished
        wrong += [f"{self.seconds:.1f} s"] if self.seconds > LIMIT else []
        wrong += ["traceback or warning"] if "Traceback" in self.errors or "Warning" in self.errors or "ignored" in self.errors else []
        return wrong + ([f"orphans: {', '.join(self.orphans)}"] if self.orphans else [])

    @property
    def early(self) -> bool:
        """Whether Python had not yet come to the command's first line."""
        own = any(f'{ROOT}/{place}' in self.errors for place in ("lazyrich", "validation", "toymodels", "deepnets", "docs"))
        return bool(self.faults) and self.code in (-signal.SIGINT, 1, 130) and not own and "lazyrich: " not in self.errors


def interrupt(words: str, after: float, folder: Path) -> End | None:
    """Start a command, interrupt it after so many seconds and return how it ended; None if it was done before."""
    # a shell that starts this script in the background lets it ignore the signal, and its children would inherit that
    process = subprocess.Popen(words.split(), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                               env=os.environ | {"PYTHONPATH": str(ROOT)},
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        begin = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
        seconds = time.monotonic() - begin
        while (orphans := find_session(process.pid)) and time.monotonic() - begin < LIMIT + 1:
            time.sleep(0.05)
        for pid in orphans:
            os.kill(int(pid), signal.SIGKILL)
        _, errors = process.communicate()
        return End(process.returncode, seconds, errors.decode(), list(orphans.values()))
    process.communicate()
    return None


def find_session(session: int) -> dict[str, str]:
    """Return the living processes of a session and their command lines, by process id (Linux)."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found[folder.name] = (folder / "cmdline").read_text().replace("\0", " ")[:100]
        except OSError:
            continue
    return found


def prepare(folder: Path) -> None:
    """Write a portrait and a store, which the commands `judge` and `sweep status` read."""
    from toymodels import OneParameter, ToyExperiment
    from validation import Plane, save_portrait, sweep

    portrait = sweep(ToyExperiment(OneParameter(3), steps=50), Plane.log((1e-3, 1e3), (1e-6, 1e2), 16), store=folder / "p.zarr")
    save_portrait(portrait, folder / "p.nc")


def main() -> None:
    """Print one line a fault, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=12, help="between 0.05 and 10 s after the start")
    parser.add_argument("--only", nargs="+", default=list(COMMANDS), choices=list(COMMANDS))
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    for name in given.only:
        for after in np.geomspace(0.05, 10, given.moments):
            with tempfile.TemporaryDirectory() as folder:
                if name in ("judge", "status"):
                    prepare(Path(folder))
                end = interrupt(COMMANDS[name], after, Path(folder))
            if end is None:
                counts["done before"] += 1
                break
            kind = "before the first line" if end.early else "wrong" if end.faults else "right"
            counts[kind] += 1
            if end.faults:
                print(f"{name} at {after:.2f} s, {kind}: {'; '.join(end.faults)}\n{end.errors[-1500:]}", flush=True)
    print(dict(counts))


if __name__ == "__main__":
    main()
