"""Read runs from a folder of TensorBoard event files: each folder that holds some is a run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from validation.arguments import Misuse
from validation.runs.event_records import Events, read_events
from validation.runs.table import Table

NAME = "*tfevents*"


def is_event_source(path: Path) -> bool:
    """Return whether a path is an event file, or a folder with one at any depth."""
    return "tfevents" in path.name if path.is_file() else next(path.rglob(NAME), None) is not None


def read_event_folder(path: Path, needed: list[str], pattern: str | None = None) -> Table:
    """Return the runs: hyperparameters, groups of the pattern, and each tag's last value, by their names.

    torch's ``add_hparams`` writes into a subfolder of its own: what that lacks is read from the folder above it.

    Parameters
    ----------
    path : the folder, or one event file.
    needed : names of columns; a folder that has none of the tags among them is no run.
    pattern : a regular expression whose named groups are columns, searched in the path of each run's folder.

    Raises
    ------
    Misuse : a damaged file; a pattern that is none, or that a run's folder does not have.
    """
    root = path.parent if path.is_file() else path
    folders: dict[Path, Events] = {}
    for file in [path] if path.is_file() else sorted(p for p in path.rglob(NAME) if p.is_file()):
        read_events(file, folders.setdefault(file.parent, Events()))
    owners = {folder.parent for folder, events in folders.items() if events.hparams and not folders.get(folder.parent, events).hparams}
    rows, places, ends, steps = [], [], [], []
    for folder, events in folders.items():
        parent = folders.get(folder.parent) if events.hparams and folder.parent in owners else None
        scalars = events.scalars if parent is None else parent.scalars | events.scalars
        columns: dict[str, Any] = {tag: number for tag, (_, number) in scalars.items()} | events.hparams
        # a folder that holds other tags alone is a run only where nothing above it is
        is_part = pattern is None or any(above in folders for above in folder.parents)
        if (folder in owners and not events.hparams) or (is_part and not columns.keys() & set(needed)):
            continue
        where = (folder.relative_to(root) if folder != root else Path(folder.name)).as_posix()
        rows.append(columns | (_match(pattern, where) if pattern is not None else {}))
        places.append(f"run {where}")
        ends.append(events.end)
        steps.append(max((step for tag, (step, _) in scalars.items() if tag in needed), default=0))
    tags = dict.fromkeys(name for row in rows for name in row)
    if not rows:
        tags = dict.fromkeys(name for events in folders.values() for name in [*events.hparams, *events.scalars])
        return Table(str(path), {name: () for name in tags}, ())
    tracker = None if all(end is None for end in ends) else [end or "UNFINISHED" for end in ends]
    cells = {name: [row.get(name) for row in rows] for name in tags}
    return Table(str(path), cells, places, tracker=tracker, logged=True, last_steps=steps)


def _match(pattern: str, where: str) -> dict[str, str]:
    try:
        found = re.search(pattern, where)
    except (re.error, TypeError) as error:
        raise Misuse(f"pattern must be a regular expression, not {pattern!r}: {error}") from None
    if found is None or not found.groupdict():
        raise Misuse("pattern must have named groups, such as (?P<lr>...), and fit the folder of each run; "
                     f"{pattern!r} does not fit {where!r}")
    return found.groupdict()
