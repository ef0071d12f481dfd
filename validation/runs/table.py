"""A table of runs as its source holds it: named columns of cells, and where each row stands."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from validation.arguments import Misuse
from validation.runs.cells import Unreadable, is_foreign, read_name, read_number

SHOWN = 30      # columns that a message names


@dataclass(frozen=True)
class Table:
    """Columns of cells, one cell for each run.

    Attributes
    ----------
    source : what was read, for messages: a file's path, or "the frame".
    columns : name -> cells; a cell is text, a number, a curve (list) or None.
    places : where each row stands: "row 7", "trial 3".
    repeated : names of several columns, none of which can be chosen.
    tracker : the word of the tracker that wrote the source for each run's end; None where it has none.
    logged : whether numbers were logged by the run itself, so that NaN and infinity are measured, however the run ended.
    last_steps : each run's last step, where nothing else shows that it ended too early.
    """

    source: str
    columns: Mapping[str, Sequence[Any]]
    places: Sequence[str]
    repeated: frozenset[str] = field(default_factory=frozenset)
    tracker: Sequence[str] | None = None
    logged: bool = False
    last_steps: Sequence[int] | None = None

    def column(self, argument: str, name: str) -> Sequence[Any]:
        """Return the cells of the column that an argument names.

        Raises
        ------
        Misuse : no column, or several, have the name; the message lists those that exist.
        """
        if not isinstance(name, str) or not name:
            raise Misuse(f"{argument} must be the name of a column, not {name!r}")
        found = name if name in self.columns else name.strip()
        if found in self.repeated:
            raise Misuse(f"{argument} must name one column, but {self.source} has several that are called {name!r}")
        if found not in self.columns:
            names = list(self.columns)
            near = difflib.get_close_matches(name, names, 1, 0.6)
            listed = ", ".join(map(repr, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
            raise Misuse(f"{argument} must be a column of {self.source}, which has no {name!r}"
                         f"{f' (did you mean {near[0]!r}?)' if near else ''}; its columns are {listed or 'none'}"
                         f"{'; some names are not UTF-8: give encoding' if any(map(is_foreign, names)) else ''}")
        return self.columns[found]

    def numbers(self, argument: str, name: str, comma: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Return a column's numbers and which rows have one, both (run,); NaN where a row has none.

        Raises
        ------
        Misuse : `column`'s, or a cell that is no number, with its row and column.
        """
        values, present = np.full(len(self.places), np.nan), np.zeros(len(self.places), bool)
        for i, cell in enumerate(self.column(argument, name)):
            try:
                value = read_number(cell, comma)
            except Unreadable as error:
                self.refuse(i, name, cell, str(error))
            if value is not None:
                values[i], present[i] = value, True
        return values, present

    def names(self, argument: str, name: str) -> list[str]:
        """Return a column's cells as text, "" where a row has none.

        Raises
        ------
        Misuse : `column`'s, or a text of another encoding, with its row and column.
        """
        found = []
        for i, cell in enumerate(self.column(argument, name)):
            if is_foreign(cell):
                self.refuse(i, name, cell, "is not UTF-8; give encoding")
            found.append(read_name(cell))
        return found

    def refuse(self, i: int, name: str, cell: Any, why: str) -> NoReturn:
        """Raise `Misuse` for a cell, naming its row and column."""
        raise Misuse(f"{self.source}, {self.places[i]}, column {name!r}: {cell!r} {why}")
