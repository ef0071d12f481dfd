"""Tables of predicted edges, as rows, text or JSON: the edges of one model, or the paper's Table 1 and Appendix F with prefactors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from toymodels.models import Model, OneParameter, TwoParameter
from toymodels.optimizers import Optimizer, as_optimizer, describe
from toymodels.theory.catalogue import predict
from toymodels.theory.edge import Edge
from toymodels.theory.losses import TheoryLoss, as_theory_loss
from toymodels.theory.printing import as_latex, as_text
from toymodels.theory.symbols import letters

REGIMES = ("lazy", "rich")


@dataclass(frozen=True)
class Cell:
    """The power law of one edge in one regime.

    Attributes
    ----------
    exponent, log_power : of ``law ~ gamma**exponent |log gamma|**log_power``, exact sympy Rationals.
    prefactor : a sympy expression in T and the letters of the formula; `value` is its number at the table's T and rho.
    law : the power law as a sympy expression.
    window : the gammas (low, high) at which the local exponent is near its limit, or None.
    """

    exponent: Any
    log_power: Any
    prefactor: Any
    law: Any
    value: float
    window: tuple[float, float] | None

    def latex(self) -> str:
        """Return the power law in LaTeX."""
        return as_latex(self.law)


@dataclass(frozen=True)
class Row:
    """One edge of one combination, with its cells by regime (None where nothing is predicted)."""

    model: Model
    loss: str
    optimizer: dict[str, Any]
    edge: Edge
    cells: dict[str, Cell | None]


def list_rows(model: Model, loss: str | TheoryLoss, optimizer: str | Optimizer, steps: int = 1000, rho: float = 0.01) -> list[Row]:
    """Return one row for each edge that exists.

    Parameters
    ----------
    model, loss, optimizer : as in `predict`.
    steps, rho : T and rho, for the numbers: prefactors and windows.
    """
    name, hyperparameters = as_theory_loss(loss).name, describe(as_optimizer(optimizer))
    return [Row(model, name, hyperparameters, edge, {r: _cell(edge, r, steps, rho) for r in REGIMES})
            for edge in predict(model, loss, optimizer).values() if isinstance(edge, Edge)]


def _cell(edge: Edge, regime: str, steps: int, rho: float) -> Cell | None:
    if regime not in edge.regimes:
        return None
    import sympy

    s, found = letters(), edge.scaling(regime)
    value = edge.prefactor(regime).subs({s.T: steps, s.rho: sympy.Float(rho)})
    return Cell(found.exponent, found.log_power, found.prefactor, edge.law(regime), float(value), edge.window(regime, steps, rho))


def list_paper_tables(depth: int = 5, steps: int = 1000, rho: float = 0.01) -> dict[str, list[Row]]:
    """Return Table 1 (SGD) and Appendix F (SignSGD) at one depth, by their titles.

    As in the paper, the edges are those of the one-parameter model, except eta_crit and the cross-entropy's eta_max: the latter is where
    the two-parameter model's catapults end, since the one-parameter model does not converge between gamma^2 and gamma.

    Parameters
    ----------
    depth : L of the one-parameter model.
    steps, rho : T and rho, for the numbers: prefactors and windows.
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
                "formula": as_text(row.edge.formula), "latex": row.edge.latex(), "source": row.edge.source, "limits": row.edge.limits}
               | {regime: plain(row.cells[regime]) for regime in REGIMES} for row in found]
    return json.dumps({"steps": steps, "rho": rho, "edges": entries}, indent=1)


def to_latex(found: list[Row]) -> str:
    """Return the rows as a LaTeX tabular: model, loss, edge, lazy law, rich law; and below it every formula."""

    def law(cell: Cell | None) -> str:
        return "--" if cell is None else f"${cell.latex()}$"

    lines = [r"\begin{tabular}{lllll}", r"model & loss & edge & lazy & rich \\ \hline"]
    for row in found:
        who = f"one, $L = {row.model.depth}$" if isinstance(row.model, OneParameter) else "two"
        edge = rf"$\eta_\mathrm{{{row.edge.name.partition('_')[2]}}}$"
        lines.append(f"{who} & {row.loss.replace('_', '-')} & {edge} & {law(row.cells['lazy'])} & {law(row.cells['rich'])} " + r"\\")
    return "\n".join([*lines, r"\end{tabular}", "", *(f"$${row.edge.latex()}$$" for row in found)])


def to_markdown(depth: int | str = 5) -> str:
    """Return the tables of `list_paper_tables` in markdown, each with its heading."""
    lines = []
    for title, found in list_paper_tables(int(depth)).items():
        lines += [f"### {title}", "", "| model | loss | edge | lazy | rich |", "|---|---|---|---|---|"]
        for row in found:
            lazy, rich = ("" if cell is None else f"${cell.latex()}$" for cell in (row.cells[regime] for regime in REGIMES))
            who = "one" if isinstance(row.model, OneParameter) else "two"
            lines.append(f"| {who} | {row.loss.replace('_', '-')} | `{row.edge.name}` | {lazy} | {rich} |")
        lines.append("")
    return "\n".join(lines)
