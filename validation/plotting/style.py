"""The colours, dashes and symbols of all figures."""

from __future__ import annotations

from typing import Any

import numpy as np

from validation.outcome import Outcome

# Ordered by lightness (CIE L* from 100 to 5, no two closer than 6), so that the map survives a grey printer; outcomes
# that border on each other lie far apart in it. Diverged is grey, as in the paper's figures 6, 8, 9 and 11.
COLOURS = {
    Outcome.UNRUN: "#ffffff",
    Outcome.UNTRAINED: "#f3e9d2",
    Outcome.PARTIAL: "#b3dbf7",
    Outcome.CATAPULTED: "#f2b632",
    Outcome.DIVERGED: "#9e9e9e",
    Outcome.OSCILLATING: "#d95f1e",
    Outcome.FAILED: "#a24fc0",
    Outcome.CONVERGED: "#1a5fa3",
    Outcome.STUCK: "#0c4a38",
    Outcome.DEAD: "#111111",
}
INK = {"SUPPORTED": "#1a7f37", "CONTRADICTED": "#b42318", "UNDECIDED": "#7a5600", "IDENTITY": "#3d4f80"}
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1.2, 1.6)), (0, (6, 2, 1.2, 2)), (0, (3, 1.5)))
SYMBOLS = {"eta_min": r"$\eta_{\min}$", "eta_crit": r"$\eta_{\rm crit}$", "eta_settle": r"$\eta_{\rm settle}$",
           "eta_max": r"$\eta_{\max}$", "eta_div": r"$\eta_{\rm div}$", "eta_opt": r"$\eta_{\rm opt}$"}


def power_of_ten(value: float, position: Any = None) -> str:
    """Return a tick's label, "10⁻³", as plain text: matplotlib takes 6 ms per tick to typeset the same formula."""
    exponent = np.log10(value) if value > 0 else np.nan
    return f"10{str(round(exponent)).translate(SUPERSCRIPTS)}" if abs(exponent - np.round(exponent)) < 1e-6 else ""


def label_decades(ax: Any, *names: str) -> None:
    """Label the logarithmic axes `names` ("x", "y") by powers of ten, where they span enough decades."""
    for name in names:
        axis = getattr(ax, f"{name}axis")
        low, high = sorted(axis.get_view_interval())
        if low > 0 and np.log10(high / low) > 2:
            axis.set_major_formatter(power_of_ten)
