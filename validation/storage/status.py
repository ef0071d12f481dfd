"""Report how far a sweep is: its tiles done, failed, left and damaged."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from validation.arguments import Misuse
from validation.experiment import read_description
from validation.outcome import Outcome
from validation.storage.atomic import resolve_target
from validation.storage.chunks import Damaged
from validation.storage.files import open_portrait
from validation.storage.tiles import Status
from validation.storage.zarr_metadata import read_attrs
from validation.storage.zarr_store import ZarrStore


@dataclass(frozen=True)
class SweepStatus:
    """How far a sweep is.

    Attributes
    ----------
    path : the store.
    done, failed, left : numbers of tiles; `sparse` of the done ones hold only the points that a refinement requested.
    failures : the traceback of each failed tile, by its place in the plane.
    damaged : the damage of each damaged tile, by its place in the plane.
    digest, description : of the experiment.
    share : the fraction of the points that have been measured.
    """

    path: str
    done: int
    failed: int
    left: int
    sparse: int
    failures: dict[str, str]
    damaged: dict[str, str]
    digest: str
    description: dict[str, Any]
    share: float

    def __str__(self) -> str:
        total = self.done + self.failed + self.left
        lines = [f"{self.path}: {self.done} of {total} tiles done"
                 + (f" ({self.sparse} of them near edges only)" if self.sparse else "")
                 + f", {self.failed} failed, {self.left} left; {self.share:.1%} of the points measured",
                 f"experiment {self.digest}: {json.dumps(self.description, sort_keys=True)}"]
        lines += [f"failed: {where}: {(text.strip() or 'no traceback').splitlines()[-1]}" for where, text in self.failures.items()]
        lines += [f"damaged: {where}: {how}" for where, how in self.damaged.items()]
        if self.failed:
            lines.append("To measure the failed tiles again: the same sweep with retry_failed=True.")
        if self.left or self.damaged:
            lines.append("To resume: the same sweep again.")
        return "\n".join(lines)


def sweep_status(path: str | os.PathLike[str]) -> SweepStatus:
    """Return how far the sweep with the store at `path` is; every existing tile is read and checked.

    Raises
    ------
    Misuse : there is no portrait at `path`.
    """
    root = resolve_target("path", path)
    if not root.exists():
        raise Misuse(f"path must be a sweep's store, but there is nothing at {root}")
    attrs = read_attrs(root) if root.is_dir() else {}
    if "store_version" not in attrs:
        portrait = open_portrait(root)
        ran = float((portrait["outcome"] >= 0).mean())
        return SweepStatus(str(root), int(ran == 1), 0, int(ran < 1), 0, {}, {}, str(portrait.attrs.get("digest", "")),
                           read_description(portrait.attrs) or {}, ran)
    store = ZarrStore(root)
    statuses = store.statuses()
    measured, damaged, failures = 0, {}, {}
    for key in store.layout:
        extent = store.layout.extent(key)
        if store.status(key) == Status.FAILED:
            failures[extent] = str(store.note(key).get("traceback", "no traceback"))
        try:
            values = store.values(key)
        except Damaged as error:
            if store.status(key) != Status.TODO:
                damaged[extent] = str(error)
            continue
        if values is not None:
            outcome = values["outcome"]
            measured += int(((outcome >= 0) & (outcome != Outcome.FAILED)).reshape(-1, *outcome.shape[-2:]).all(axis=0).sum())
    tiles, failed = int(statuses.size), int((statuses == Status.FAILED).sum())
    left = int((statuses == Status.TODO).sum())
    points = int(np.prod(store.layout.plane.shape)) * store.layout.shape[0]
    return SweepStatus(str(root), tiles - failed - left, failed, left, int((statuses == Status.SPARSE).sum()), failures, damaged,
                       str(attrs.get("digest", "")), read_description(attrs) or {}, measured / points)
