"""TinyImageNet from its folder; missing and damaged files."""

import numpy as np
import pytest

from deepnets import tasks
from tests.deepnets import datasets_on_disk as disk
from validation import Misuse


def test_tiny_imagenet(tmp_path):
    disk.tiny_imagenet_folder(tmp_path / "tiny-imagenet-200")
    task = tasks.tiny_imagenet(tmp_path)
    assert (task.in_shape, task.classes, task.out_features) == ((3, 64, 64), 3, 3)
    x, y = task.batch(0, 0, 36)
    assert y.bincount().tolist() == [12, 12, 12]
    assert float(x.square().mean()) == pytest.approx(1, abs=1e-4)
    for pixels, labels in ((disk.bytes_of(task, x), y), (disk.bytes_of(task, task.held_out()[0]), task.held_out()[1])):
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
