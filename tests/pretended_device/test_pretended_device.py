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


def run(library: Path, group: str) -> dict[str, dict]:
    """Return the records of a group's cases, by name."""
    environment = os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": str(ROOT)}
    process = subprocess.run([sys.executable, "-m", "tests.pretended_device", group], cwd=ROOT, env=environment, capture_output=True,
                             text=True)
    assert process.returncode == 0, process.stderr
    records = [json.loads(line) for line in process.stdout.splitlines() if line.startswith('{"case"')]
    return {record["case"]: record for record in records}


@pytest.mark.parametrize(("group", "least"), [("planes", 40), ("observables", 14), ("campaign", 16)])
def test_on_the_device(library: Path, group: str, least: int) -> None:
    records = run(library, group)
    assert len(records) >= least
    assert not [f"{name}: {record['error']}" for name, record in records.items() if record["error"]]
    assert all(record["kernels"] for record in records.values())


def test_what_a_gpu_would_refuse_is_found(library: Path) -> None:
    records = run(library, "mistakes")
    assert all(record["error"] is None for record in records.values())
    assert len(records) == 4
