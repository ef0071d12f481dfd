"""Tasks: streams of training batches, each a pure function of (seed, step), and held-out samples.

`task` defines the interface; `from_loader` builds a task from other data. To add a data set of images in files, write a function that
returns `image_task.make_image_task(...)`, as `mnist_files` does.
"""

from deepnets.tasks.cifar import cifar5m, cifar10
from deepnets.tasks.fixed_batch import FullBatch, full_batch
from deepnets.tasks.image_task import Images
from deepnets.tasks.mnist1m_files import mnist_1m
from deepnets.tasks.mnist_files import fashion_mnist, mnist
from deepnets.tasks.own_data import Own, from_loader
from deepnets.tasks.photograph_crops import Photographs, photographs
from deepnets.tasks.scikit_digits import Digits, digits
from deepnets.tasks.synthetic import MultiIndex, SingleIndex, multi_index, single_index
from deepnets.tasks.task import Task, as_task
from deepnets.tasks.teachers import Linear, Teacher, linear, teacher
from deepnets.tasks.text_corpus import Text, text
from deepnets.tasks.tiny_imagenet_files import tiny_imagenet

__all__ = ["Digits", "FullBatch", "Images", "Linear", "MultiIndex", "Own", "Photographs", "SingleIndex", "Task", "Teacher", "Text",
           "as_task", "cifar5m", "cifar10", "digits", "fashion_mnist", "from_loader", "full_batch", "linear", "mnist", "mnist_1m",
           "multi_index", "photographs", "single_index", "teacher", "text", "tiny_imagenet"]


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return list(__all__)
