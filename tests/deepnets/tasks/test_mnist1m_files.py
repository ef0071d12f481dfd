"""The files of MNIST-1M: their format, damaged files, and arrays that are not written."""

import hashlib
import json

import numpy as np
import pytest

from deepnets import tasks
from deepnets.tasks import mnist1m_files
from tests.deepnets import datasets_on_disk as disk
from validation import Misuse


def test_mnist1m_format(tmp_path):
    disk.mnist1m_folder(tmp_path, [30, 20])
    index = json.loads((tmp_path / "mnist1m.json").read_text())
    assert index["format"] == "mnist1m"
    assert index["origin"] == {"drawn": "at random"}
    assert [s["samples"] for s in index["shards"]] == [30, 20]
    for row in index["shards"]:
        assert hashlib.sha256((tmp_path / row["file"]).read_bytes()).hexdigest() == row["sha256"]
        with np.load(tmp_path / row["file"], allow_pickle=False) as held:
            assert (held["x"].dtype, held["y"].dtype, held["x"].shape[1:]) == (np.uint8, np.uint8, (28, 28))
    assert sorted(p.name for p in tmp_path.glob("mnist1m*")) == ["mnist1m-00000.npz", "mnist1m-00001.npz", "mnist1m.json"]


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda at: (at / "mnist1m-00001.npz").unlink(), "needs mnist1m-00001.npz"),
    (lambda at: (at / "mnist1m-00001.npz").write_bytes(b"x"), "mnist1m-00001.npz is truncated or altered: its sha256 is 2d71.*should be"),
    (lambda at: (at / "mnist1m.json").write_text("{"), "mnist1m.json is not an index of shards"),
    (lambda at: (at / "mnist1m.json").write_text('{"format": "mnist1m", "version": 2}'), "version 1, not 'mnist1m', version 2"),
    (lambda at: (at / "mnist1m.json").write_text('{"format": "mnist1m", "version": 1, "shards": []}'), "lists no shards"),
])
def test_spoilt_mnist1m(spoil, message, tmp_path):
    disk.mnist1m_folder(tmp_path, [30, 20])
    spoil(tmp_path)
    with pytest.raises(Misuse, match=message):
        tasks.mnist_1m(tmp_path)


def test_invalid_arrays_are_not_written(tmp_path):
    with pytest.raises(Misuse, match="uint8"):
        mnist1m_files.write_shard(tmp_path, 0, np.zeros((3, 28, 28)), np.zeros(3, int))
    with pytest.raises(Misuse, match="label 10 at index 2"):
        mnist1m_files.write_shard(tmp_path, 0, np.zeros((3, 28, 28), np.uint8), np.array([0, 1, 10]))
    with pytest.raises(Misuse, match="has none"):
        mnist1m_files.write_index(tmp_path, {})
    assert not list(tmp_path.glob("mnist1m*"))
