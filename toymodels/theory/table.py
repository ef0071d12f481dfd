"""Tables of predicted edges: rows of plain values, and the same as LaTeX and JSON; the terminal is `predict_command.py`'s.

`rows` has one row for each edge and combination; `list_paper_tables` are Table 1 and Appendix F, each cell with its prefactor.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from toymodels.models import Model, OneParameter, TwoParameter
from toymodels.optimizers import as_optimizer, describe
from toymodels.theory.catalogue import predict
from toymodels.theory.edge import Edge
from toymodels.theory.losses import as_theory_loss
from toymodels.theory.symbols import letters

REGIMES = ("lazy", "rich")


@dataclass(frozen=True)
class Cell:
    """What one edge becomes in one regime: exponent, power of the logarithm, prefactor and its value, window."""

    exponent: Any
    log_power: Any
    prefactor: Any
    value: float
    window: tuple[float, float] | None

    def law(self) -> Any:
        """Return ``prefactor gamma**exponent log**power`` in sympy."""
        import sympy

        gamma = letters().gamma
        return self.prefactor * gamma**self.exponent * sympy.log(gamma) ** self.log_power


@dataclass(frozen=True)
class Row:
    """One edge of one combination, with its cells by regime (None where nothing is predicted)."""

    model: Model
    loss: str
    optimizer: dict[str, Any]
    edge: Edge
    cells: dict[str, Cell | None]


def list_rows(model: Model, loss: Any, optimizer: Any, steps: int = 1000, rho: float = 0.01) -> list[Row]:
    """Return one row for each edge that exists.

    Parameters
    ----------
    model, loss, optimizer : as in `predict`.
    steps, rho : T and rho, for the numbers: prefactors and windows.
    """
    loss, optimizer = as_theory_loss(loss), as_optimizer(optimizer)
    return [Row(model, loss.name, describe(optimizer), edge, {r: _cell(edge, r, steps, rho) for r in REGIMES})
            for edge in predict(model, loss, optimizer).values()]


def _cell(edge: Edge, regime: str, steps: int, rho: float) -> Cell | None:
    if regime not in edge.regimes:
        return None
    import sympy

    s, found = letters(), edge.scaling(regime)
    value = edge.prefactor(regime).subs({s.T: steps, s.rho: sympy.Float(rho)})
    return Cell(found.exponent, found.log_power, found.prefactor, float(value), edge.window(regime, steps, rho))


def list_paper_tables(depth: int = 5, steps: int = 1000, rho: float = 0.01) -> dict[str, list[Row]]:
    """Return Table 1 (SGD) and Appendix F (SignSGD) at one depth, by their titles.

    As the paper has it, everything from the one-parameter model, except eta_crit, and the cross-entropy's eta_max, which is where
    the two-parameter model's catapults end: the one-parameter model does not converge between gamma^2 and gamma.
    """
    table = []
    for loss in ("mse", "cross_entropy"):
        one, two = list_rows(OneParameter(depth), loss, "sgd", steps, rho), list_rows(TwoParameter(), loss, "sgd", steps, rho)
        table += [r for r in one if r.edge.name in ("eta_min", "eta_max")]
        table += [r for r in two if r.edge.name in ("eta_crit", "eta_max", "eta_settle")]
    signs = [r for loss in ("mse", "cross_entropy") for r in list_rows(OneParameter(depth), loss, "signsgd", steps, rho)]
    return {f"Table 1: SGD, one parameter with L = {depth}, and two": table,
            f"Appendix F: SignSGD, one parameter with L = {depth}": signs}


def to_json(found: list[Row], steps: int, rho: float) -> str:
    """Return the rows as JSON: exponents and expressions as strings (exact), prefactors also as numbers, windows as pairs."""

    def plain(cell: Cell | None) -> dict[str, Any] | None:
        if cell is None:
            return None
        ends = None if cell.window is None else [x if 0 < x < float("inf") else None for x in cell.window]
        return {"exponent": str(cell.exponent), "logarithm": str(cell.log_power), "prefactor": str(cell.prefactor),
                "prefactor_value": cell.value, "window": ends}

    entries = [{"model": row.model.describe(), "loss": row.loss, "optimizer": row.optimizer, "edge": row.edge.name,
                "formula": str(row.edge.formula), "latex": row.edge.latex(), "source": row.edge.source, "limits": row.edge.limits}
               | {regime: plain(row.cells[regime]) for regime in REGIMES} for row in found]
    return json.dumps({"steps": steps, "rho": rho, "edges": entries}, indent=1)


def to_latex(found: list[Row]) -> str:
    """Return the rows as a LaTeX tabular: edge, formula, lazy law, rich law."""
    import sympy

    def law(cell: Cell | None) -> str:
        return "--" if cell is None else f"${sympy.latex(cell.law())}$"

    lines = [r"\begin{tabular}{lllll}", r"model & loss & edge & lazy & rich \\ \hline"]
    for row in found:
        who = f"one, $L = {row.model.depth}$" if isinstance(row.model, OneParameter) else "two"
        edge = rf"$\eta_\mathrm{{{row.edge.name.partition('_')[2]}}}$"
        lines.append(f"{who} & {row.loss.replace('_', '-')} & {edge} & {law(row.cells['lazy'])} & {law(row.cells['rich'])} " + r"\\")
    return "\n".join([*lines, r"\end{tabular}", "", *(f"$${row.edge.latex()}$$" for row in found)])
