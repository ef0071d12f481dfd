"""Npz files are read as by numpy; altered, truncated and other files are refused."""

import numpy as np
import pytest

from deepnets import tasks
from deepnets.tasks.npz_shards import open_member
from tests.deepnets import datasets_on_disk as disk
from validation import Misuse


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_is_read_as_by_numpy(compressed, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"a": rng.integers(0, 256, (7, 3, 2), dtype=np.uint8), "b": rng.normal(size=11), "c": np.arange(5, dtype=">i2")}
    (np.savez_compressed if compressed else np.savez)(tmp_path / "f.npz", **arrays)
    for key, array in arrays.items():
        read = open_member(tmp_path / "f.npz", key).array()
        assert isinstance(read, np.memmap) is not compressed
        assert read.dtype == array.dtype
        assert np.array_equal(read, array)
        assert not read.flags.writeable


@pytest.mark.parametrize("compressed", [False, True])
def test_altered_and_truncated_npz(compressed, tmp_path):
    disk.cifar5m_folder(tmp_path / "d", [40], compressed)
    path = tmp_path / "d" / "cifar5m-part0.npz"
    whole = path.read_bytes()
    altered = bytearray(whole)
    altered[30_000] ^= 1
    path.write_bytes(altered)
    with pytest.raises(Misuse, match=f"array 'X' of {path} is (truncated or )?altered: .*CRC-32|invalid"):
        tasks.cifar5m(tmp_path / "d")
    path.write_bytes(whole[:-1000])
    with pytest.raises(Misuse, match=f"{path}, of {len(whole) - 1000} bytes, is truncated"):
        tasks.cifar5m(tmp_path / "d")


@pytest.mark.parametrize(("arrays", "message"), [
    ({"X": np.zeros((9, 32, 32, 3), np.uint8)}, "must hold an array 'Y'; it holds 'X'"),
    ({"X": np.zeros((9, 32, 32, 3)), "Y": np.zeros(9, int)}, r"uint8 of shape \(n, 32, 32, 3\), not float64"),
    ({"X": np.zeros((9, 3, 32, 32), np.uint8), "Y": np.zeros(9, int)}, r"not uint8 of \(9, 3, 32, 32\)"),
    ({"X": np.zeros((9, 32, 32, 3), np.uint8), "Y": np.zeros(8, int)}, r"one label for each of 9 images"),
    ({"X": np.zeros((9, 32, 32, 3), np.uint8), "Y": np.arange(3, 12)}, r"label 10 at index 7 of 'Y'"),
    ({"X": np.zeros((9, 32, 32, 3), np.uint8), "Y": np.zeros(9)}, "must be whole numbers, not float64"),
    ({"X": np.asfortranarray(np.zeros((9, 32, 32, 3), np.uint8)), "Y": np.zeros(9, int)}, "it is stored in Fortran order"),
])
def test_npz_of_something_else(arrays, message, tmp_path):
    np.savez(tmp_path / "cifar5m-part0.npz", **arrays)
    with pytest.raises(Misuse, match=message):
        tasks.cifar5m(tmp_path)
