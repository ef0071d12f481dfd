"""The colours, dashes and letters of every figure; knows what they stand for, and no matplotlib."""

from __future__ import annotations

from typing import Any

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
INK = {"SUPPORTED": "#1a7f37", "CONTRADICTED": "#b42318", "UNDECIDED": "#7a5600"}
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1.2, 1.6)), (0, (6, 2, 1.2, 2)), (0, (3, 1.5)))
SYMBOLS = {"eta_min": r"$\eta_{\min}$", "eta_crit": r"$\eta_{\rm crit}$", "eta_settle": r"$\eta_{\rm settle}$",
           "eta_max": r"$\eta_{\max}$", "eta_div": r"$\eta_{\rm div}$", "eta_opt": r"$\eta_{\rm opt}$"}
