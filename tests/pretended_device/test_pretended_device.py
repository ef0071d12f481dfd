"""deepnets and the campaign on a pretended CUDA device: no tensors of two devices in one operation, and no wait within a step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pretended_device.build import CannotBuild, build_library

ROOT = Path(__file__).resolve().parents[2]


# the fewest cases of each group; one process for all: loading torch and drawing the first batch take five seconds
LEAST = {"planes": 36, "observables": 14, "mistakes": 4, "expectations": 5, "campaign": 11}


def run(groups: str) -> list[dict]:
    """Return the records of the cases of some groups."""
    try:
        library = build_library()
    except CannotBuild as reason:
        pytest.skip(str(reason))
    environment = os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": str(ROOT)}
    process = subprocess.run([sys.executable, "-m", "tests.pretended_device", groups], cwd=ROOT, env=environment, capture_output=True,
                             text=True)
    assert process.returncode == 0, process.stderr
    return [json.loads(line) for line in process.stdout.splitlines() if line.startswith('{"group"')]


@pytest.mark.timeout(900)      # one process for all: half a minute alone, minutes beside other work
def test_on_the_device() -> None:
    records = run(",".join(LEAST))
    assert all(sum(record["group"] == group for record in records) >= count for group, count in LEAST.items())
    assert not [f"{record['case']}: {record['error']}" for record in records if record["error"]]
    assert all(record["kernels"] for record in records if record["group"] != "mistakes")
