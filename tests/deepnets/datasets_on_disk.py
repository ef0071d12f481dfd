"""Tiny datasets in the formats of the real ones, written for the tests of their readers."""

import gzip
import hashlib
import io
import struct
import tarfile

import numpy as np
import torch
from PIL import Image

from deepnets.tasks import cifar, image_task, mnist1m_files, mnist_files

IDX_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(array):
    return struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()


def unlike(rng, n, *shape):
    """Images none of which equals another: the first four bytes are a number."""
    x = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
    x.reshape(n, -1)[:, :4] = np.arange(n, dtype=">u4").view(np.uint8).reshape(n, 4)
    return x


def idx_folder(folder, shown=300, held=60, zipped=True, seed=0):
    rng = np.random.default_rng(seed)
    x, y = unlike(rng, shown + held, 28, 28), rng.integers(0, 10, shown + held, dtype=np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(IDX_NAMES, (x[:shown], y[:shown], x[shown:], y[shown:]), strict=True):
        data = idx(array)
        (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(data, 1, mtime=0) if zipped else data)
    return x, y


def fashion_folder(folder, monkeypatch, **how):
    """Write Fashion-MNIST's four files, and let their checksums be the right ones."""
    made = idx_folder(folder, **how)
    sums = {}
    for name in IDX_NAMES:
        [path] = folder.glob(f"{name}*")
        data = path.read_bytes()
        sums[name] = hashlib.sha256(gzip.decompress(data) if path.suffix == ".gz" else data).hexdigest()
    monkeypatch.setattr(mnist_files, "FASHION_SHA256", sums)
    return made


def cifar_folder(folder, records, seed=0):
    rng = np.random.default_rng(seed)
    x, y = unlike(rng, 6 * records, 3, 32, 32), rng.integers(0, 10, 6 * records, dtype=np.uint8)
    table = np.concatenate([y[:, None], x.reshape(6 * records, -1)], 1)
    folder.mkdir(parents=True, exist_ok=True)
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    for i, name in enumerate(names):
        (folder / name).write_bytes(table[i * records:(i + 1) * records].tobytes())
    return x, y


def small_cifar_folder(folder, monkeypatch, records=40):
    """Write CIFAR-10's six files with fewer records, and let that be the right number."""
    monkeypatch.setattr(cifar, "RECORDS", records)
    return cifar_folder(folder, records)


def cifar_archive(path, folder):
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted(folder.glob("*.bin")):
            archive.add(file, f"cifar-10-batches-bin/{file.name}")


def cifar5m_folder(folder, sizes, compressed=False, seed=0):
    rng = np.random.default_rng(seed)
    x, y = unlike(rng, sum(sizes), 32, 32, 3), rng.integers(0, 10, sum(sizes))
    folder.mkdir(parents=True, exist_ok=True)
    for i, end in enumerate(np.cumsum(sizes)):
        part = slice(end - sizes[i], end)
        (np.savez_compressed if compressed else np.savez)(folder / f"cifar5m-part{i}.npz", X=x[part], Y=y[part])
    return x, y


def mnist1m_folder(folder, sizes, seed=0):
    rng = np.random.default_rng(seed)
    x, y = unlike(rng, sum(sizes), 28, 28), rng.integers(0, 10, sum(sizes))
    for i, end in enumerate(np.cumsum(sizes)):
        mnist1m_files.write_shard(folder, i, x[end - sizes[i]:end], y[end - sizes[i]:end])
    mnist1m_files.write_index(folder, {"drawn": "at random"})
    return x, y


def tiny_imagenet_folder(root, kinds=("n01", "n02", "n03"), each=12, held=9, seed=0):
    rng = np.random.default_rng(seed)
    for k, kind in enumerate(kinds):
        place = root / "train" / kind / "images"
        place.mkdir(parents=True)
        for i in range(each):
            (place / f"{kind}_{i}.JPEG").write_bytes(jpeg(rng, k, grey=i == 0))
    place = root / "val" / "images"
    place.mkdir(parents=True)
    rows = []
    for i in range(held):
        (place / f"val_{i}.JPEG").write_bytes(jpeg(rng, i % len(kinds)))
        rows.append(f"val_{i}.JPEG\t{kinds[i % len(kinds)]}\t0\t0\t63\t63\n")
    (root / "val" / "val_annotations.txt").write_text("".join(rows))
    (root / "wnids.txt").write_text("\n".join(kinds) + "\n")


def jpeg(rng, kind, grey=False):
    """A picture of mostly the primary colour `kind`."""
    pixels = rng.integers(0, 60, (64, 64, 3), dtype=np.uint8)
    pixels[..., kind] += 150
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert("L") if grey else image).save(file, "JPEG")
    return file.getvalue()


def bytes_of(task, x):
    """Return the bytes of scaled images."""
    _, scale = image_task.load_source(task.read, task.path)
    return (x * scale.unit + scale.mean).round().to(torch.uint8).numpy()
