"""Exponents of networks that were measured once and are kept as brackets in docs/data: fitted and judged anew; trains nothing."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from validation import PowerLawFit, Verdict


@cache
def _table() -> Any:
    """Return docs/tables/network_exponents.py as a module."""
    place = spec_from_file_location("network_exponents", Path(__file__).parents[1] / "tables" / "network_exponents.py")
    made = module_from_spec(place)        # type: ignore[arg-type]
    sys.modules[place.name] = made        # type: ignore[union-attr]    # dataclasses look their module up
    place.loader.exec_module(made)        # type: ignore[union-attr]
    return made


@cache
def _brackets() -> Any:
    return _table().kept()


def exponents(**wanted: Any) -> list[tuple[Any, PowerLawFit, Verdict]]:
    """Return (row, fit, verdict) of the measured rows whose fields are as wanted, such as ``optimizer="adam", depth=3``.

    A row's fields are loss, optimizer, schedule, depth (L), edge, regime, window, criterion, width, batch, steps, seeds; its `claim` is the
    theory's exponent. All are of MLPs of ReLUs on scikit-learn's digits.
    """
    rows = [row for row in _table().rows() if row.name in _brackets()["row"].values]
    return [(row, *_table().judged(row, _brackets())) for row in rows if all(getattr(row, name) == want for name, want in wanted.items())]
