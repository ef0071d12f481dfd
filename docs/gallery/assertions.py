"""Find out which verdicts of a page its assertions demand: change each in turn, and see whether an assertion fails."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from gallery.findings import Finding, Findings

DEMANDED, WEAK, NONE = "its verdict", "not CONTRADICTED", "nothing"
OUTCOMES = ("SUPPORTED", "UNDECIDED", "CONTRADICTED")
_STRENGTH = (NONE, WEAK, DEMANDED)


def examine_block(source: str, space: dict[str, Any]) -> None:
    """Note in the findings of a page what the assertions of a block, which was just executed, demand of each.

    A verdict is demanded if some assertion would fail with each other one. A weaker demand, such as ``row.verdict != "CONTRADICTED"`` or
    ``row.measured > 0``, fails only where the row is CONTRADICTED; so does `Findings.demand` of a row near the border of its range.
    `Findings.demand` counts as an assertion. Assertions inside functions and loops count as their last pass leaves
    them; those that add findings themselves are left out.

    Parameters
    ----------
    source : of the block.
    space : the page's variables, by name; its `Findings` are changed.
    """
    statements = _read_statements(source, {name for name, value in space.items() if isinstance(value, Findings)})
    usable: list[ast.stmt] = []
    for statement in statements:
        if _hold([*usable, statement], space):       # one in a loop may not hold of what its last pass leaves
            usable.append(statement)
    if all(isinstance(statement, ast.Assign) for statement in usable):
        return
    for found in (value for value in space.values() if isinstance(value, Findings)):
        for at, row in enumerate(found.rows):
            failing = set()
            for outcome in OUTCOMES:
                if outcome != row.verdict:
                    found.rows[at] = _change(row, outcome)
                    failing |= set() if _hold(usable, space) else {outcome}
            demand = DEMANDED if failing == set(OUTCOMES) - {row.verdict} else WEAK if "CONTRADICTED" in failing else NONE
            found.rows[at] = replace(row, asserted=max(row.asserted, demand, key=_STRENGTH.index))


def _change(row: Finding, outcome: str) -> Finding:
    """Return the row with another verdict, and with numbers that would give it."""
    measured = math.nan if outcome == "CONTRADICTED" else row.measured
    interval = (-math.inf, math.inf) if outcome == "UNDECIDED" else (measured, measured)
    return replace(row, verdict=outcome, measured=measured, interval=interval)


def _read_statements(source: str, findings: set[str]) -> list[ast.stmt]:
    """Return the assertions of a block that read rows of findings, and the assignments through which they do, in order."""
    derived, statements = set(findings), []
    for node in _walk(ast.parse(source).body):
        read = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)} & derived
        called = {part.func.attr for part in ast.walk(node) if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute)
                  and isinstance(part.func.value, ast.Name) and part.func.value.id in findings}
        adds = bool(called - {"demand"})
        if (isinstance(node, ast.Assert) and read and not adds) or (isinstance(node, ast.Expr) and called == {"demand"}):
            statements.append(node)
        elif isinstance(node, ast.Assign) and read and not adds:
            derived |= {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
            statements.append(node)
    return statements


def _walk(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.For | ast.If | ast.With):
            yield from _walk(node.body)


def _hold(statements: list[ast.stmt], space: dict[str, Any]) -> bool:
    """Return whether all assertions hold; variables are assigned in a copy."""
    try:
        exec(compile(ast.Module(list(statements), []), "<assertions>", "exec", dont_inherit=True), dict(space))
    except Exception:          # a changed row may break an assertion in any way
        return False
    return True
