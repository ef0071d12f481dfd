"""What the detectors of phenomena find in observed runs, as variables and as sentences; trains nothing, draws nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from deepnets.phenomena.detect_catapult import catapult
from deepnets.phenomena.detect_sharpening import sharpening
from deepnets.phenomena.detect_silent_alignment import silent_alignment
from deepnets.phenomena.detect_stairs import stairs

# variable: the attribute of the detector's record, what it is, units
FOUND = {
    "catapult": {"": ("fired", "whether it was catapulted"), "peak": ("peak", "largest excess loss")},
    "stairs": {"": ("fired", "whether the loss fell in two drops or more"), "count": ("count", "drops of the loss")},
    "sharpening": {"": ("fired", "whether its sharpness grew twofold"), "final": ("final", "eta lambda/2 over the last looks")},
    "silent_alignment": {"": ("fired", "whether the alignment had grown by half before a tenth of the loss's fall was done"),
                         "gained": ("gained", "the alignment by then, over its first")},
}
LEAST = 4      # looks, below which nothing is said of what happens between them


def detected(observed: xr.Dataset) -> xr.Dataset:
    """Return observed runs with what each detector finds, over (seed, run); those whose curves were not measured are left out.

    Stairs are looked for only where every step shows the same batch.
    """
    made = observed
    for name, values in _records(observed).items():
        for suffix, (attribute, words) in FOUND[name].items():
            found = np.array([[float(getattr(record, attribute)) if record is not None else np.nan for record in line] for line in values])
            made = made.assign({"_".join(filter(None, (name, suffix))): (("seed", "run"), found, {"long_name": words, "units": "1"})})
    return made


def _records(observed: xr.Dataset) -> dict[str, list[list[Any]]]:
    rho, step = float(observed.attrs["rho"]), observed["step"].values
    # detector: the curve without which it says nothing, and what it says of one run
    detectors: dict[str, tuple[str, Callable[[xr.Dataset], Any]]] = {
        "catapult": ("loss", lambda one: catapult(one.loss, one.at_rest, rho=rho))}
    if observed.attrs["same_batch"]:        # the noise of fresh batches falls and rises by itself
        detectors["stairs"] = "loss", lambda one: stairs(one.loss)
    if len(step) >= LEAST and step[0] == 0:
        detectors["sharpening"] = "sharpness", lambda one: sharpening(one.sharpness, step)
        detectors["silent_alignment"] = "alignment", lambda one: silent_alignment(one.loss, one.alignment.sel(norm="nuclear"), step,
                                                                                   one.at_rest, rho=rho)
    ones = [[observed.isel(seed=s, run=p) for p in range(observed.sizes["run"])] for s in range(observed.sizes["seed"])]
    return {name: [[detect(one) if (one[curve].values[0] > 0).all() else None for one in line] for line in ones]
            for name, (curve, detect) in detectors.items() if curve in observed}


def sentences(observed: xr.Dataset) -> list[str]:
    """Return a line for each phenomenon: in how many runs it was found, and at which gammas."""
    words = {"catapult": "catapults", "stairs": "a loss that falls in stairs", "sharpening": "progressive sharpening",
             "silent_alignment": "silent alignment"}
    said = []
    for name in (n for n in words if n in observed):
        fired = observed[name].values == 1                                   # (seed, run)
        told = int(np.isfinite(observed[name].values).sum())
        gammas = observed["gamma"].values[fired.any(0)]
        where = f", gamma {gammas[0]:.3g} to {gammas[-1]:.3g}" if len(gammas) > 1 else f", gamma {gammas[0]:.3g}" if len(gammas) else ""
        said.append(f"{words[name]}: in {int(fired.sum())} of {told} runs{where}")
    return said
