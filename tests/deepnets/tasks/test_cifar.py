"""CIFAR-10 from its folder and its archive; pickles are refused."""

import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from deepnets import tasks
from tests.deepnets import datasets_on_disk as disk
from validation import Misuse


def test_cifar10_from_its_archive(tmp_path, monkeypatch):
    disk.small_cifar_folder(tmp_path / "d", monkeypatch)
    disk.cifar_archive(tmp_path / "cifar-10-binary.tar.gz", tmp_path / "d")
    assert tasks.cifar10(tmp_path / "cifar-10-binary.tar.gz") == tasks.cifar10(tmp_path / "d") == tasks.cifar10(tmp_path)


def test_truncated_cifar10(tmp_path, monkeypatch):
    disk.small_cifar_folder(tmp_path / "d", monkeypatch)
    path = tmp_path / "d" / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(Misuse, match=f"data_batch_3.bin of .* is truncated: it has {40 * 3073 - 7} bytes .* should have {40 * 3073}"):
        tasks.cifar10(tmp_path / "d")
    path.unlink()
    with pytest.raises(Misuse, match=r"needs data_batch_3.bin"):
        tasks.cifar10(tmp_path / "d")
    disk.cifar_archive(tmp_path / "a.tar.gz", tmp_path / "d")
    with pytest.raises(Misuse, match=r"needs data_batch_3.bin"):
        tasks.cifar10(tmp_path / "a.tar.gz")
    (tmp_path / "b.tar.gz").write_bytes((tmp_path / "a.tar.gz").read_bytes()[:5000])
    with pytest.raises(Misuse, match="truncated or not a tar archive"):
        tasks.cifar10(tmp_path / "b.tar.gz")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["nowhere.bin", "../../../etc/nothing", "data_batch_1.bin", "/dev/null"])
def test_a_link_to_nothing_in_an_archive(kind, target, tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("data_batch_1.bin")
        entry.type, entry.linkname = kind, target
        archive.addfile(entry)
    with pytest.raises(Misuse, match=r"a\.tar\.gz holds a link to nothing, or to itself, in the place of data_batch_1.bin"):
        tasks.cifar10(tmp_path / "a.tar.gz")


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2", ""])
def test_every_altered_archive_is_refused_in_a_sentence(kind, tmp_path, monkeypatch):
    disk.small_cifar_folder(tmp_path / "d", monkeypatch)
    with tarfile.open(tmp_path / "a.tar", f"w:{kind}") as archive:
        archive.add(tmp_path / "d" / "data_batch_1.bin", "data_batch_1.bin")
    content = (tmp_path / "a.tar").read_bytes()
    for place in np.linspace(0, len(content) - 1, 25).astype(int):
        (tmp_path / "a.tar").write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1:])
        with pytest.raises(Misuse, match=r"not a tar archive|cifar10 needs|link to nothing|too long|one of the classes"):
            tasks.cifar10(tmp_path / "a.tar")


def test_an_archive_that_announces_too_much_is_not_read(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        entry = tarfile.TarInfo("data_batch_1.bin")
        entry.size = 10**12
        archive.addfile(entry)
    with pytest.raises(Misuse, match=r"data_batch_1\.bin of .* is too long: it has 1000000000000 bytes"):
        tasks.cifar10(tmp_path / "a.tar")


def test_pickles_are_refused_without_reading_them(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    trap = pickle.dumps(Trap())
    (tmp_path / "py").mkdir()
    (tmp_path / "py" / "data_batch_1").write_bytes(trap)
    with pytest.raises(Misuse, match="Python version of CIFAR-10, which is pickled"):
        tasks.cifar10(tmp_path / "py")
    with tarfile.open(tmp_path / "p.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "py" / "data_batch_1", "cifar-10-batches-py/data_batch_1")
    with pytest.raises(Misuse, match="Python version of CIFAR-10, which is pickled"):
        tasks.cifar10(tmp_path / "p.tar.gz")
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array([Trap()] * 50), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "cifar5m-part0.npz", "w") as archive:
        archive.writestr("X.npy", file.getvalue())
    with pytest.raises(Misuse, match="Python objects, which are not read"):
        tasks.cifar5m(tmp_path)
