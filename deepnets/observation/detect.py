"""Detect phenomena in observed runs: catapults, stairs, progressive sharpening, silent alignment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from deepnets.phenomena.detect_catapult import catapult
from deepnets.phenomena.detect_sharpening import sharpening
from deepnets.phenomena.detect_silent_alignment import silent_alignment
from deepnets.phenomena.detect_stairs import stairs

# detector: by suffix of its variable, the attribute of the detector's record and what it is
VARIABLES = {
    "catapult": {"": ("fired", "whether it was catapulted"), "peak": ("peak", "largest excess loss")},
    "stairs": {"": ("fired", "whether the loss fell in two drops or more"), "count": ("count", "drops of the loss")},
    "sharpening": {"": ("fired", "whether its sharpness grew twofold"), "final": ("final", "eta lambda/2 over the last snapshots")},
    "silent_alignment": {"": ("fired", "whether the alignment had grown by half before a tenth of the loss's fall was done"),
                         "gained": ("gained", "the alignment by then, over its first")},
}
WORDS = {"catapult": "catapults", "stairs": "a loss that falls in stairs", "sharpening": "progressive sharpening",
         "silent_alignment": "silent alignment"}
LEAST = 4      # snapshots, without which growth in time is not judged


def detect_phenomena(observed: xr.Dataset) -> xr.Dataset:
    """Return observed runs with what each detector finds, over (seed, run).

    Detectors whose curves were not measured are left out, and stairs unless every step shows the same batch.
    """
    found = {}
    for name, rows in _records(observed).items():
        for suffix, (attribute, words) in VARIABLES[name].items():
            values = np.array([[float(getattr(record, attribute)) if record is not None else np.nan for record in row] for row in rows])
            found["_".join(filter(None, (name, suffix)))] = ("seed", "run"), values, {"long_name": words, "units": "1"}
    return observed.assign(found)


def _records(observed: xr.Dataset) -> dict[str, list[list[Any]]]:
    """Return each detector's record of each run, by seed and run; None where its curve does not start above zero."""
    rho, step = float(observed.attrs["rho"]), observed["step"].values
    # detector: the curve that it needs, and its call on one run
    detectors: dict[str, tuple[str, Callable[[xr.Dataset], Any]]] = {
        "catapult": ("loss", lambda run: catapult(run.loss, run.zero_output_loss, rho=rho))}
    if observed.attrs["same_batch"]:        # the noise of fresh batches makes drops of its own
        detectors["stairs"] = "loss", lambda run: stairs(run.loss)
    if len(step) >= LEAST and step[0] == 0:
        detectors["sharpening"] = "sharpness", lambda run: sharpening(run.sharpness, step)
        detectors["silent_alignment"] = "alignment", lambda run: silent_alignment(run.loss, run.alignment.sel(norm="nuclear"), step,
                                                                                  run.zero_output_loss, rho=rho)
    runs = [[observed.isel(seed=s, run=p) for p in range(observed.sizes["run"])] for s in range(observed.sizes["seed"])]
    return {name: [[call(run) if (run[curve].values[0] > 0).all() else None for run in row] for row in runs]
            for name, (curve, call) in detectors.items() if curve in observed}


def describe_phenomena(observed: xr.Dataset) -> list[str]:
    """Return a line for each phenomenon: in how many runs it was found, and at which gammas."""
    lines = []
    for name in (n for n in WORDS if n in observed):
        fired = observed[name].values == 1                                   # (seed, run)
        judged = int(np.isfinite(observed[name].values).sum())
        gammas = observed["gamma"].values[fired.any(0)]
        where = f", gamma {gammas[0]:.3g} to {gammas[-1]:.3g}" if len(gammas) > 1 else f", gamma {gammas[0]:.3g}" if len(gammas) else ""
        lines.append(f"{WORDS[name]}: in {int(fired.sum())} of {judged} runs{where}")
    return lines
