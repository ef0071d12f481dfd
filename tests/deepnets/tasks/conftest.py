"""Tasks are tested where no data set is installed."""

import pytest


@pytest.fixture(autouse=True)
def no_other_data_sets(tmp_path, monkeypatch):
    monkeypatch.delenv("LAZYRICH_DATA", raising=False)
    (tmp_path / "nowhere").mkdir()
    monkeypatch.chdir(tmp_path / "nowhere")
