"""Read runs from the SQLite databases of trackers: an Optuna study's trials, or an MLflow experiment's runs."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from validation.arguments import Misuse
from validation.runs.table import Table

MAGIC = b"SQLite format 3\0"
MLFLOW_INFINITY = 1.7976931348623157e308      # what MLflow stores in its place
PREFIXES = ("params_", "user_attrs_")         # as optuna's trials_dataframe names columns


def read_database(path: Path, study: str | None = None) -> Table:
    """Return the runs of a database.

    Parameters
    ----------
    path : the file.
    study : the name of the Optuna study or the MLflow experiment; None: the only one that has runs.

    Raises
    ------
    Misuse : neither tracker's database, a damaged one, or several studies and none named.
    """
    with _open(path) as base:
        tables = {row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if {"studies", "trials", "trial_params", "trial_values"} <= tables:
            return _read_optuna(str(path), base, study)
        if {"experiments", "runs", "params", "latest_metrics"} <= tables:
            return _read_mlflow(str(path), base, study)
    raise Misuse(f"{path} must be a database of Optuna or MLflow; its tables are {', '.join(sorted(tables)) or 'none'}. "
                 "Read another one with pandas.read_sql and give the frame")


@contextlib.contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as base:
            yield base
    except sqlite3.Error as error:
        raise Misuse(f"{path} cannot be read as a database: {error}") from None


def _choose(source: str, kind: str, names: dict[int, str], study: str | None) -> int:
    """Return the key of the study or experiment to read."""
    found = [key for key, name in names.items() if study is None or name == study]
    if len(found) != 1:
        listed = ", ".join(map(repr, sorted(names.values()))) or "none"
        raise Misuse(f"study must be the name of one {kind} of {source}, not {study!r}; those with runs are {listed}")
    return found[0]


def _read_optuna(source: str, base: sqlite3.Connection, study: str | None) -> Table:
    """Return the trials. The objective is "value", of several "values_0", "values_1", ...

    A trial whose objective was NaN is stored as failed, without a value. The loss of a trial that is not complete is the last of its
    intermediate values: if that is not finite, it shows that the trial diverged.
    """
    names = dict(base.execute("SELECT study_id, study_name FROM studies WHERE study_id IN (SELECT study_id FROM trials)").fetchall())
    key = _choose(source, "study", names, study)
    trials = base.execute("SELECT trial_id, number, state FROM trials WHERE study_id = ? ORDER BY number", (key,)).fetchall()
    chosen = "trial_id IN (SELECT trial_id FROM trials WHERE study_id = ?)"
    cells: dict[int, dict[str, Any]] = {trial: {} for trial, *_ in trials}
    plain: dict[int, dict[str, Any]] = {trial: {} for trial, *_ in trials}
    for trial, name, value, distribution in base.execute(
            f"SELECT trial_id, param_name, param_value, distribution_json FROM trial_params WHERE {chosen}", (key,)):
        choices = json.loads(distribution).get("attributes", {}).get("choices")
        plain[trial][name] = cells[trial][f"params_{name}"] = value if choices is None else choices[int(value)]
    for trial, name, value in base.execute(f"SELECT trial_id, key, value_json FROM trial_user_attributes WHERE {chosen}", (key,)):
        cells[trial][f"user_attrs_{name}"] = value = json.loads(value)
        plain[trial].setdefault(name, value)
    ends = {}
    for trial, _, value, kind in base.execute(
            f"SELECT trial_id, step, intermediate_value, {_type_of(base, 'trial_intermediate_values', 'intermediate_value')} "
            f"FROM trial_intermediate_values WHERE {chosen} ORDER BY step", (key,)):
        ends[trial] = _number(value, kind)
    for trial, number, value, kind in base.execute(
            f"SELECT trial_id, objective, value, {_type_of(base, 'trial_values', 'value')} FROM trial_values WHERE {chosen}", (key,)):
        cells[trial][f"values_{number}"] = _number(value, kind)
    count = max((int(name[7:]) + 1 for row in cells.values() for name in row if name.startswith("values_")), default=1)
    for trial, _, state in trials:
        row = cells[trial]
        values = [row.pop(f"values_{i}", None) for i in range(count)]
        if state != "COMPLETE":
            values = [ends.get(trial)] * count
        row |= {"value": values[0]} if count == 1 else {f"values_{i}": value for i, value in enumerate(values)}
        cells[trial] = plain[trial] | row
    columns = dict.fromkeys(name for row in cells.values() for name in row)
    return Table(source, {name: [cells[trial].get(name) for trial, *_ in trials] for name in columns},
                 [f"trial {number}" for _, number, _ in trials], tracker=[state for *_, state in trials], logged=True)


def _type_of(base: sqlite3.Connection, table: str, column: str) -> str:
    """Return the column that says whether a value is finite, which releases before Optuna 3 do not have."""
    has = any(row[1] == f"{column}_type" for row in base.execute(f"PRAGMA table_info({table})"))
    return f"{column}_type" if has else "'FINITE'"


def _number(value: float | None, kind: str) -> float | None:
    return {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}.get(kind, value)


def _read_mlflow(source: str, base: sqlite3.Connection, study: str | None) -> Table:
    """Return the runs that were not deleted: parameters, tags and each metric's last value by their names."""
    names = dict(base.execute("SELECT experiment_id, name FROM experiments WHERE experiment_id IN "
                              "(SELECT experiment_id FROM runs WHERE lifecycle_stage = 'active')").fetchall())
    key = _choose(source, "experiment", names, study)
    runs = base.execute("SELECT run_uuid, name, status FROM runs WHERE experiment_id = ? AND lifecycle_stage = 'active' "
                        "ORDER BY start_time, run_uuid", (key,)).fetchall()
    cells: dict[str, dict[str, Any]] = defaultdict(dict)
    chosen = "run_uuid IN (SELECT run_uuid FROM runs WHERE experiment_id = ? AND lifecycle_stage = 'active')"
    for table in ("tags", "params"):                                     # a parameter replaces a tag of the same name
        for run, name, value in base.execute(f"SELECT run_uuid, key, value FROM {table} WHERE {chosen}", (key,)):
            cells[run][name] = value
    metrics: dict[str, dict[str, float]] = defaultdict(dict)
    for run, name, value, is_nan in base.execute(f"SELECT run_uuid, key, value, is_nan FROM latest_metrics WHERE {chosen}", (key,)):
        infinite = abs(value) >= MLFLOW_INFINITY
        metrics[run][name] = math.nan if is_nan else math.copysign(math.inf, value) if infinite else value
    params = {name for row in cells.values() for name in row}
    repeated = frozenset(params & {name for row in metrics.values() for name in row})
    rows = [cells[run] | metrics[run] for run, *_ in runs]
    columns = dict.fromkeys(name for row in rows for name in row)
    places = [f"run {name or run[:8]}" for run, name, _ in runs]
    return Table(source, {name: [row.get(name) for row in rows] for name in columns}, places, repeated,
                 [status for *_, status in runs], logged=True)
