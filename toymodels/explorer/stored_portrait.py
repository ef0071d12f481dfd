"""Encode a stored portrait for the explorer's page: its runs, edges, predictions and verdicts, as JSON with arrays in base64.

`source/decode.js` reads it. Excesses are stored as their decimal logarithm in float32, whose relative error is 1e-6.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from validation.experiment import hash_json
from validation.outcome import Outcome
from validation.plotting.style import COLOURS
from validation.portrait import VARIABLES, rates

TYPES = {"int8": "i1", "int32": "i4", "float32": "f4", "float64": "f8"}
EXCESSES = ("final_excess", "tail_excess", "peak_excess")


def encode_portrait(portrait: xr.Dataset, title: str, edges: xr.Dataset, predictions: Mapping[str, Any],
                    verdicts: Iterable[Any] = (), notes: Sequence[str] = ()) -> dict[str, Any]:
    """Return a portrait as JSON for the page.

    Parameters
    ----------
    portrait : as from `validation.open_portrait`; every dim before gamma and eta can be picked in the page.
    title : its heading.
    edges : the measured ones, as from `validation.locate`; their rho may be another than that at which the outcomes were measured.
    predictions : the predicted edges by name.
    verdicts : what the judge found.
    notes : sentences for the reader.
    """
    leading = [str(d) for d in portrait["outcome"].dims[:-2]]
    order = (*leading, "gamma", "eta")
    variables = {name: _encode_variable(name, portrait[name]) for name in VARIABLES
                 if name in portrait and portrait[name].dims == order and name != "rose"}
    own = portrait.attrs.get("rho")
    rho = float(edges.attrs["rho"])
    return {
        "title": title,
        "rho": {"outcomes": float(own) if isinstance(own, float) and np.isfinite(own) else None, "edges": rho},
        "key": hash_json([str(portrait.attrs.get(k)) for k in ("digest", "plane")]),
        "picked": {d: portrait[d].values.tolist() if d in portrait.coords else list(range(portrait.sizes[d])) for d in leading},
        "gamma": encode_array(portrait["gamma"].values),
        "eta": encode_array(rates(portrait) if "eta_value" in portrait else portrait["eta"].values),
        "variables": variables,
        "edges": _encode_edges(edges, leading),
        "predicted": _encode_predictions(portrait, predictions, rho),
        "verdicts": [{"edge": v.edge, "outcome": str(v.outcome), "sentence": v.sentence} for v in verdicts],
        "notes": list(notes),
        "outcomes": [{"code": int(o), "name": o.label, "sentence": o.sentence, "colour": COLOURS[o]} for o in Outcome],
    }


def encode_array(values: np.ndarray) -> dict[str, Any]:
    """Return an array as its type, shape and bytes, least significant first."""
    plain = np.ascontiguousarray(values)
    kind = TYPES[plain.dtype.name]
    return {"type": kind, "shape": list(plain.shape), "data": base64.b64encode(plain.astype(f"<{kind}").tobytes()).decode("ascii")}


def _encode_variable(name: str, variable: xr.DataArray) -> dict[str, Any]:
    """Return one variable of the runs: outcomes and steps as whole numbers, excesses by their logarithm, others as they are."""
    values = variable.values
    if name in EXCESSES:
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log10(values)
    if name not in ("outcome", "steps"):
        with np.errstate(over="ignore"):      # a kernel beyond float32 is shown as infinite
            values = values.astype(np.float32)
    label = VARIABLES[name][2]
    return {"label": label, "logarithmic": name in EXCESSES, **encode_array(values)}


def _encode_edges(edges: xr.Dataset, leading: Sequence[str]) -> list[dict[str, Any]]:
    """Return the brackets of every measured edge, of shape (..., gamma, 2), with the names of the first dims."""
    found = []
    for name in edges["edge"].values:
        brackets = edges["eta"].sel(edge=name)
        dims = [d for d in leading if d in brackets.dims]
        values = brackets.transpose(*dims, "gamma", "bound").values.astype(np.float64)
        if np.isfinite(values).any():
            found.append({"name": str(name), "picked": dims, **encode_array(values)})
    return found


def _encode_predictions(portrait: xr.Dataset, predictions: Mapping[str, Any], rho: float | None) -> list[dict[str, Any]]:
    """Return the predicted edges on a fine axis of gamma, for every horizon where there are several."""
    gamma = portrait["gamma"].values
    fine = np.geomspace(gamma[0], gamma[-1], 241) if len(gamma) > 1 else gamma * np.geomspace(1 / 1.1, 1.1, 3)
    several = "horizon" in portrait.dims
    steps = portrait["horizon"].values.tolist() if several else [portrait.attrs.get("steps")]
    found = []
    for name, prediction in predictions.items():
        values = np.array([10 ** prediction.log10(fine, t if isinstance(t, int) else None, rho) for t in steps])
        if np.isfinite(values).any():
            found.append({"name": name, "picked": ["horizon"] if several else [], "at": encode_array(fine),
                          **encode_array(values if several else values[0])})
    return found
