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


@pytest.fixture(scope="session")
def library() -> Path:
    try:
        return build_library()
    except CannotBuild as reason:
        pytest.skip(str(reason))


def run(library: Path, groups: str) -> list[dict]:
    """Return the records of the cases of some groups."""
    environment = os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": str(ROOT)}
    process = subprocess.run([sys.executable, "-m", "tests.pretended_device", groups], cwd=ROOT, env=environment, capture_output=True,
                             text=True)
    assert process.returncode == 0, process.stderr
    return [json.loads(line) for line in process.stdout.splitlines() if line.startswith('{"group"')]


@pytest.mark.parametrize("least", [{"planes": 40, "observables": 14, "mistakes": 4}, {"campaign": 15}], ids=",".join)
def test_on_the_device(library: Path, least: dict[str, int]) -> None:
    records = run(library, ",".join(least))
    assert all(sum(record["group"] == group for record in records) >= count for group, count in least.items())
    assert not [f"{record['case']}: {record['error']}" for record in records if record["error"]]
    assert all(record["kernels"] for record in records if record["group"] != "mistakes")
