"""`lazyrich predict`: print the predicted edges and exponents, as a table, LaTeX or JSON, or their derivation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from toymodels.models import AnyModel, Model, OneParameter, TwoParameter
from toymodels.own.loss import Loss as OwnLoss
from validation.arguments import Misuse, between, choose, whole
from validation.cli_options import Whole
from validation.estimates import MOST_STEPS

if TYPE_CHECKING:
    from toymodels.theory.own_edges import OwnEdge
    from toymodels.theory.table import Cell, Row

LEGEND = ("f1 = 1 - d1 and f2 = 1 + d2 are the outputs below and above 1 at which the excess is rho; r(f) = -l'(f), r_0 = r(0), "
          "h_l = l''(1); S_0 is the integral of 1/r from 0 to f1; kappa, C and c_star are numbers (--derive); nan: not predicted. "
          "The line below a law gives the gammas at which the local exponent is within 0.02 of its limit.")


def predict(
    *,
    model: str | None = None,
    depth: Whole | None = None,
    loss: str = "both",
    optimizer: Literal["sgd", "signsgd", "momentum", "adam"] = "sgd",
    steps: Whole = 1000,
    rho: float = 0.01,
    format: Literal["table", "latex", "json"] = "table",
    derive: bool = False,
    errata: bool = False,
) -> int:
    """Print the predicted edges with their exponents, prefactors and windows.

    Parameters
    ----------
    model
        one: one parameter, at any depth; two: two parameters; or one's own, a toymodels.Model in a Python file, as in
        mine.py:attention. If not given, the paper's Table 1 and Appendix F.
    depth
        L, the depth of the one-parameter model, whose output is a power of its weight, w^L; 5 if not given.
    loss
        mse, cross_entropy or both; or one's own, a toymodels.Loss in a Python file, as in mine.py:huber.
    optimizer
        The optimizer, with its default hyperparameters.
    steps
        T, the number of steps, for prefactors and windows.
    rho
        The fraction of the excess loss at which a run counts as trained.
    format
        A table for the terminal, a LaTeX tabular, or JSON.
    derive
        Print the derivation, step by step (of one model).
    errata
        Print the misprints of the paper and their correct forms, each checked.
    """
    if errata:
        _refuse_with_errata(model=model, depth=depth, derive=derive or None, loss=None if loss == "both" else loss,
                            optimizer=None if optimizer == "sgd" else optimizer, steps=None if steps == 1000 else steps,
                            rho=None if rho == 0.01 else rho)
        choose("format", format, ("table", "latex", "json"))
        _print_errata(format)
        return 0
    whole("steps", steps, most=MOST_STEPS)
    between("rho", rho, 0, 1)
    choose("format", format, ("table", "latex", "json"))
    if ":" in loss or ":" in (model or ""):
        return _predict_own(model or "one", depth, loss, optimizer, steps, rho, format, derive)
    choose("model", model, (None, "one", "two"))
    choose("loss", loss, ("mse", "cross_entropy", "both"))
    if model == "two" and depth is not None:
        raise Misuse(f"depth belongs to the one-parameter model, not to --model two; {depth!r} was given")
    if derive and model is None:
        raise Misuse("derive needs a model, one of 'one', 'two'; none was given")
    if derive and format == "json":
        raise Misuse("derive prints text or LaTeX: format must be one of 'table', 'latex', not 'json'")
    if model is None and optimizer != "sgd":
        raise Misuse(f"optimizer belongs to a model, one of 'one', 'two'; none was given, but optimizer {optimizer!r}")
    one = OneParameter(5 if depth is None else depth)
    toy: Model = TwoParameter() if model == "two" else one
    losses = ("mse", "cross_entropy") if loss == "both" else (loss,)
    if derive:
        for name in losses:
            _print_derivation(toy, name, optimizer, format)
        return 0
    from toymodels.theory.table import list_paper_tables, list_rows, to_json, to_latex

    if model is None:
        tables = {title: [r for r in found if r.loss in losses] for title, found in list_paper_tables(one.depth, steps, rho).items()}
    else:
        title = f"{'Two parameters' if model == 'two' else f'One parameter, L = {one.depth}'}, {optimizer}"
        tables = {title: [row for name in losses for row in list_rows(toy, name, optimizer, steps, rho)]}
    if format == "json":
        print(to_json([row for found in tables.values() for row in found], steps, rho))
    elif format == "latex":
        print("\n\n".join(f"% {title}\n{to_latex(found)}" for title, found in tables.items()))
    else:
        for title, found in tables.items():
            _print_table(title, found, steps, rho)
    return 0


def _refuse_with_errata(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise Misuse(f"errata are those of the whole paper: {name} has no effect on them; {value!r} was given")


def _print_errata(format: str) -> None:
    """Print the misprints as text, as MyST markdown with formulas in LaTeX, or as JSON."""
    import json

    from toymodels.theory.misprints import list_checked_errata, render_page
    from toymodels.theory.plain_text import as_plain

    if format == "latex":
        print(render_page())
        return
    found = list_checked_errata()
    if format == "json":
        print(json.dumps([{"where": item.where, "printed": item.printed, "true": item.true, "why": item.why} for item in found], indent=1))
        return
    for number, item in enumerate(found, 1):
        print(f"{number:2d}. {as_plain(item.where)}\n    printed: {as_plain(item.printed)}\n    true:    {as_plain(item.true)}\n"
              f"    {as_plain(item.why)}\n")


def _predict_own(model: str, depth: int | None, loss: str, optimizer: str, steps: int, rho: float, format: str, derive: bool) -> int:
    """Print the predicted edges, or the derivation, of a model or a loss of one's own."""
    import json

    from rich.console import Console

    from toymodels.cli import choose_losses, choose_model
    from toymodels.optimizers import as_optimizer
    from toymodels.theory.losses import as_formulas
    from toymodels.theory.own_edges import explain_absence, predict_own

    if format == "latex" and not derive:
        raise Misuse("format must be one of 'table', 'json' for a model or a loss of one's own, whose edges are numbers, not 'latex'")
    toy, console, found = choose_model(model, depth), Console(), []
    for name in choose_losses(loss):
        if derive:
            _print_derivation(toy, name, optimizer, format)
            continue
        own_model, own_loss = as_formulas(toy, name)
        chosen = as_optimizer(optimizer)
        edges, absent = predict_own(own_model, own_loss, chosen), explain_absence(own_model, own_loss, chosen)
        laws = [_list_law(edge, regime, steps, rho) for edge in edges.values() for regime in edge.regimes]
        if format == "json":
            found.append({"model": own_model.describe(), "loss": own_loss.describe(), "optimizer": optimizer, "laws": laws,
                          "absent": absent})
            continue
        console.print(f"f = {own_model.output}, l = {own_loss.formula}, {optimizer} (T = {steps}, rho = {rho:g})", markup=False)
        for law in laws:
            console.print(f"  {law['edge']:<9} {law['regime']:<5} {law['text']}", markup=False, highlight=False)
        for reason in absent:
            console.print(f"  {reason}", markup=False, highlight=False)
    if format == "json":
        print(json.dumps({"steps": steps, "rho": rho, "models": found}, indent=1))
    return 0


def _list_law(edge: OwnEdge, regime: str, steps: int, rho: float) -> dict[str, Any]:
    """Return the power law of an edge of a model of one's own, as JSON and as text."""
    law, prefactor, window = edge.law(regime), edge.prefactor(regime, steps, rho), edge.window(regime, steps, rho)
    error = "" if law.error == 0 else f" +- {law.error:.1g}"
    exponent = str(law.exponent) if law.error == 0 else f"{law.exponent:.6g}"
    where = "no window" if window is None else f"gamma from {window[0]:.2g} to {window[1]:.2g}"
    ends = None if window is None else [x if 0 < x < float("inf") else None for x in window]
    return {"edge": edge.name, "regime": regime, "exponent": exponent, "error": law.error, "logarithm": law.logarithm,
            "prefactor": prefactor, "window": ends,
            "text": f"{prefactor:.4g} gamma^({exponent}{error}){' |log gamma|' if law.logarithm else ''}, {where}"}


def _print_table(title: str, found: list[Row], steps: int, rho: float) -> None:
    """Print one table, its formulas, and where nothing is predicted."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from toymodels.theory.printing import as_text

    console = Console()
    if not found:
        console.print(f"{title}: the theory has no edges for this optimizer.", markup=False)
        return
    table = Table(title=f"{title} (T = {steps}, rho = {rho:g})", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for column in ("model", "loss", "edge", "lazy: eta ~", "rich: eta ~"):
        table.add_column(column, overflow="fold")
    for row in found:
        # two lines a cell, the law and where it holds, so that a terminal of 80 columns is wide enough
        table.add_row(row.model.name, row.loss, row.edge.name, *(_format_cell(row.cells[r]) for r in ("lazy", "rich")))
    console.print(table)
    for row in found:
        formula = as_text(row.edge.formula)
        console.print(f"  {row.model.name:<4} {row.loss:<13} {row.edge.name:<10} {':' if ' = ' in formula else '='} {formula}",
                      markup=False, highlight=False)
    for limits in dict.fromkeys(f"{row.edge.name} ({row.model.name}, {row.loss}): {row.edge.limits}" for row in found if row.edge.limits):
        console.print(f"  {limits}.", markup=False, highlight=False)
    console.print(f"  {LEGEND}\n", markup=False, highlight=False)


def _format_cell(cell: Cell | None) -> str:
    """Return a power law and, on a second line, its window, as text."""
    if cell is None:
        return "-"
    power = {"0": "", "1": " |log gamma|"}.get(str(cell.log_power), f" |log gamma|^({cell.log_power})")
    exponent = {"1": "gamma"}.get(str(cell.exponent), f"gamma^{cell.exponent}" if cell.exponent.is_Integer else f"gamma^({cell.exponent})")
    law = f"{cell.value:.4g} {exponent}{power}"
    if cell.window is None:
        return f"{law}\n  nowhere within 0.02" if not power else f"{law}\n  (a logarithm)"
    low, high = cell.window
    if low == 0 and high == float("inf"):
        return f"{law}\n  everywhere"
    if low == 0:
        return f"{law}\n  gamma < {high:.2g}"
    return f"{law}\n  gamma > {low:.2g}" if high == float("inf") else f"{law}\n  {low:.2g} .. {high:.2g}"


def _print_derivation(toy: AnyModel, loss: str | OwnLoss, optimizer: str, format: str) -> None:
    """Print the derivation of one model, numbered."""
    from toymodels.theory.derivation_steps import derive_steps
    from toymodels.theory.printing import as_text

    print(f"{toy!r}, {loss}, {optimizer}\n")
    for number, step in enumerate(derive_steps(toy, loss, optimizer), 1):
        if format == "latex":
            print(f"{number}. {step.latex()}\n")
            continue
        print(f"{number:2d}. {step.text()}")
        if step.equation is not None:
            print(f"      {as_text(step.equation)}")
