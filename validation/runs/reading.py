"""Read a table of runs from a file, a frame or a dict: where each run was, its loss, and whether it finished, diverged or is unknown."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse, choose
from validation.runs.cells import find_decimal_commas
from validation.runs.delimited_text import decode, read_csv
from validation.runs.event_folder import is_event_source, read_event_folder
from validation.runs.frames import is_frame, read_frame
from validation.runs.json_text import read_json
from validation.runs.run_status import FINISHED, UNKNOWN, judge_run, read_words
from validation.runs.table import Table
from validation.runs.tracker_databases import MAGIC, read_database

BINARY = {b"PK\x03\x04": "a spreadsheet or zip archive", b"\x1f\x8b": "a gzip archive", b"PAR1": "Parquet", b"\x89HDF": "HDF5",
          b"CDF": "netCDF", b"ARROW1": "Arrow"}


def read_runs(source: Any, x: str, eta: str, loss: str, status: str | None = None, seed: str | None = None,
              group: str | Sequence[str] | None = None, *, words: Mapping[str, str] | None = None, decimal: str | None = None,
              delimiter: str | None = None, encoding: str | None = None, study: str | None = None,
              pattern: str | None = None, x2: str | None = None) -> xr.Dataset:
    r"""Return the runs of a sweep that exists, one entry a run.

    A run is ``finished``, ``diverged`` or ``unknown``. Unknown is not diverged: a run that crashed, was killed or pruned, or has no loss
    is unknown, and brackets nothing. An empty cell is unknown; NaN or infinity that is written out is diverged, unless the status of the
    run is one of a crash. NaN or infinity that the run itself logged (to Optuna, MLflow, TensorBoard) is diverged, however the run ended.
    NaN in an array or a frame is an empty cell.

    Parameters
    ----------
    source : the path of a CSV or TSV file, of JSON (a list of objects, an object of columns, or one object a line), of the SQLite
        database of Optuna or MLflow, or of a TensorBoard folder or event file; a frame of pandas or polars; a dict of arrays. A cell
        that is a curve over the steps counts by its last value.
    x : the column (parameter, tag) of the scale over which exponents are to be judged: gamma, width, tokens, ...; above zero.
    eta : that of the learning rate; above zero.
    loss : that of the loss, or of an accuracy; "value" is the objective of an Optuna study.
    status : that of a word for each run's end. None: the tracker's own word, and otherwise all runs that have a loss finished.
    seed : that of the seed.
    group : one or several, of what is to be held fixed.
    words : what words of the status column mean that are not in the built-in table: {"meltdown": "diverged"}.
    decimal : "." or ","; None: "," where a cell of x, eta or loss can be read in no other way.
    delimiter : of CSV; None: the one with which the header has all columns.
    encoding : of text; None: that of its byte-order mark, or UTF-8.
    study : the name of the Optuna study or the MLflow experiment, where a database has several.
    pattern : of TensorBoard, a regular expression whose named groups are columns, searched in each run's folder:
        ``r"width(?P<width>\d+)_lr(?P<lr>[\d.e-]+)"``.
    x2 : the column of a second scale that varies with x, such as tokens with parameters; above zero.

    Returns
    -------
    Dataset : over `run`, whose coordinate says where each one stands: `x` and `eta`; `loss`, infinite where diverged, NaN where unknown;
        `status`; `tracker_status`, the tracker's own word; `seed` and `group`, if given, as text; `x2`, if given. Attributes: `axis`,
        `axis2`, `eta_name`, `loss_name`: the columns' names; `source`; `dropped`: a sentence for each run without x or eta.

    Raises
    ------
    Misuse : a source that cannot be read, a column that does not exist or exists twice, a cell that is no number or can be read in two
        ways, an x or eta that is not above zero, a status that is not in the table of words; the message names row and column.

    Examples
    --------
    >>> runs = read_runs({"width": [64, 64, 128], "lr": [0.1, 0.2, 0.1], "loss": [0.5, np.inf, None]}, x="width", eta="lr", loss="loss")
    >>> runs["status"].values.tolist()
    ['finished', 'diverged', 'unknown']
    """
    statuses = read_words(words)
    if x2 is not None and x2 == x:
        raise Misuse(f"x2 must be another column than x, {x!r}")
    if decimal is not None:
        choose("decimal", decimal, (".", ","))
    if not isinstance(group, str | Sequence | None):
        raise Misuse(f"group must be the name of a column, or several, not {group!r}")
    groups = [] if group is None else [group] if isinstance(group, str) else list(group)
    needed = [name for name in (x, x2, eta, loss, status, seed, *groups) if name is not None]
    table = _read_table(source, needed, delimiter=delimiter, encoding=encoding, study=study, pattern=pattern)
    for argument, name in (("x", x), ("x2", x2), ("eta", eta), ("loss", loss), ("status", status), ("seed", seed),
                           *(("group", g) for g in groups)):
        if name is not None:
            table.column(argument, name)
    texts = (cell for argument, name in (("x", x), ("x2", x2), ("eta", eta), ("loss", loss)) if name is not None
             for cell in table.column(argument, name))
    comma = decimal == "," or (decimal is None and find_decimal_commas(texts))
    xs, etas = (_read_scale(table, argument, name, comma) for argument, name in (("x", x), ("eta", eta)))
    losses, present = table.numbers("loss", loss, comma)
    ended = _read_status(table, status, statuses)
    states = np.array([judge_run(*run, table.logged) for run in zip(losses, present, ended, strict=True)], dtype="<U8")
    second = None if x2 is None else _read_scale(table, "x2", x2, comma)
    placed = np.isfinite(xs) & np.isfinite(etas) & (True if second is None else np.isfinite(second))
    _find_short_runs(table, status, states, xs)
    if not placed.any():
        raise Misuse(f"{table.source} has no run with both {x!r} and {eta!r}")
    values = np.where(states == FINISHED, losses, np.where(states == UNKNOWN, np.nan, np.inf))
    tracker = table.names("status", status) if status is not None else list(table.tracker or [""] * len(states))
    variables: dict[str, Any] = {
        "x": ("run", xs, {"long_name": x}), "eta": ("run", etas, {"long_name": eta}), "loss": ("run", values, {"long_name": loss}),
        "status": ("run", states), "tracker_status": ("run", np.array(tracker, dtype=str))}
    if second is not None:
        variables["x2"] = "run", second, {"long_name": x2}
    if seed is not None:
        variables["seed"] = "run", np.array(table.names("seed", seed), dtype=str)
    if groups:
        named = [(name, table.names("group", name)) for name in groups]
        variables["group"] = "run", np.array([", ".join(f"{name}={cell}" for name, cell in zip([n for n, _ in named], row, strict=True))
                                              for row in zip(*(cells for _, cells in named), strict=True)], dtype=str)
    dropped = [f"{place}: no {x if np.isnan(a) else eta if np.isnan(b) else x2}"
               for place, a, b, keep in zip(table.places, xs, etas, placed, strict=True) if not keep]
    runs = xr.Dataset(variables, {"run": list(table.places)}, {
        "axis": x, "eta_name": eta, "loss_name": loss, "source": table.source, "dropped": dropped}
        | ({} if x2 is None else {"axis2": x2}))
    return runs.isel(run=np.flatnonzero(placed))


def list_columns(source: Any, **options: Any) -> list[str]:
    """Return the names of a table's columns; source and options (delimiter, encoding, study, pattern) as of `read_runs`."""
    return list(_read_table(source, [], **dict.fromkeys(("delimiter", "encoding", "study", "pattern")) | options).columns)


def _read_table(source: Any, needed: list[str], **options: Any) -> Table:
    """Return the table of any source; an option that does not fit its kind is refused."""
    def allow(kind: str, *names: str) -> dict[str, Any]:
        for name, value in options.items():
            if value is not None and name not in names:
                raise Misuse(f"{name} must be None for {kind}, not {value!r}")
        return {name: options[name] for name in names}

    if is_frame(source):
        allow("a frame or a dict")
        return read_frame(source, needed)
    if not isinstance(source, str | os.PathLike):
        raise Misuse(f"source must be a path, a frame or a dict of arrays, not {type(source).__name__}")
    path = Path(os.path.expanduser(source))
    try:
        if path.is_dir() or "tfevents" in path.name:
            if not is_event_source(path):
                raise Misuse(f"source must be a file, or a folder of TensorBoard event files; {path} has none")
            return read_event_folder(path, needed, **allow("TensorBoard", "pattern"))
        data = path.read_bytes()
    except Misuse:
        raise
    except (OSError, ValueError) as error:                               # a path with a zero byte is a ValueError
        raise Misuse(f"source {str(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if data.startswith(MAGIC):
        return read_database(path, **allow("a database", "study"))
    for magic, kind in BINARY.items():
        if data.startswith(magic):
            raise Misuse(f"{path} is {kind}, which is not read; read it with pandas and give the frame")
    text = decode(str(path), data, options["encoding"])
    if not text.strip():
        raise Misuse(f"{path} is empty")
    suffix = path.suffix.lower()
    if suffix in (".json", ".jsonl", ".ndjson") or (suffix not in (".csv", ".tsv") and text.lstrip()[0] in "[{"):
        allow("JSON", "encoding")
        return read_json(str(path), text, needed)
    allow("CSV", "delimiter", "encoding")
    return read_csv(str(path), text, needed, options["delimiter"])


def _read_scale(table: Table, argument: str, name: str, comma: bool) -> np.ndarray:
    """Return x or eta, (run,), NaN where a row has none."""
    values, _ = table.numbers(argument, name, comma)
    bad = ~np.isnan(values) & ~(np.isfinite(values) & (values > 0))
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        table.refuse(i, name, table.columns[name][i], "is not above zero" if values[i] <= 0 else "is not finite")
    return values


def _read_status(table: Table, name: str | None, statuses: dict[str, str]) -> list[str]:
    """Return what each run's word stands for."""
    if name is None and table.tracker is None:
        return [FINISHED] * len(table.places)
    words = table.names("status", name) if name is not None else list(table.tracker or ())
    found = []
    for i, word in enumerate(words):
        if word.lower() not in statuses:
            table.refuse(i, name or "status", word, f"is not a status; say what it stands for: words={{{word!r}: 'finished', 'diverged' or "
                         "'unknown'}")
        found.append(statuses[word.lower()])
    return found


def _find_short_runs(table: Table, name: str | None, states: np.ndarray, xs: np.ndarray) -> None:
    """Make unknown each run that ended at an earlier step than another at the same x, where no word says how it ended."""
    if name is not None or table.tracker is not None or table.last_steps is None:
        return
    steps = np.asarray(table.last_steps)
    for value in np.unique(xs[~np.isnan(xs)]):
        same = xs == value
        states[same & (states == FINISHED) & (steps < steps[same].max())] = UNKNOWN
