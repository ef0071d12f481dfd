"""The rates at which the zoo's modules are trained: chosen once, by plain training, and stored in `rates.json`.

A choice takes many runs. ``python -m tests.deepnets.zoo.rates`` chooses those that are missing; delete a module's entry to choose it again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.deepnets.zoo.entry import Entry
from tests.deepnets.zoo.reference import LOSSES, choose_rates, train

FILE = Path(__file__).parent / "rates.json"
RATES: dict[str, dict[str, dict[str, float]]] = json.loads(FILE.read_text()) if FILE.exists() else {}      # by module, loss and gamma


def train_reference(entry: Entry, loss: str, gammas: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return a rate for each gamma, and the final excess of its run in plain training, both (n,); what is not stored is chosen."""
    gamma, stored = np.array(gammas), RATES.get(entry.name, {}).get(loss, {})
    if any(f"{g:g}" not in stored for g in gammas):
        return choose_rates(entry.network, entry.task, LOSSES[loss], gamma)
    eta = np.array([stored[f"{g:g}"] for g in gammas])
    return eta, train(entry.network, entry.task, LOSSES[loss], gamma, eta)[0]


def store_rates(entries: Sequence[tuple[Entry, str]], gammas: Sequence[float]) -> None:
    """Choose the rates that are missing, with all their digits (some runs are sensitive to them), and write the file after each module."""
    for entry, loss in entries:
        if entry.refusal is None and loss not in RATES.get(entry.name, {}):
            eta, _ = choose_rates(entry.network, entry.task, LOSSES[loss], np.array(gammas))
            RATES.setdefault(entry.name, {})[loss] = {f"{g:g}": float(e) for g, e in zip(gammas, eta, strict=True)}
            FILE.write_text(json.dumps(RATES, indent=1, sort_keys=True) + "\n")
            print(entry.name, loss, *RATES[entry.name][loss].values(), flush=True)


if __name__ == "__main__":
    import torch

    from tests.deepnets.zoo.comparison import GAMMAS, list_all

    torch.set_num_threads(1)
    store_rates(list_all(), GAMMAS)
