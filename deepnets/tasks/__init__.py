"""Tasks: streams of batches, each batch a pure function of (seed, step); knows no network."""

from deepnets.tasks.cifar import cifar5m, cifar10
from deepnets.tasks.corpus import Text, text
from deepnets.tasks.crops import Photographs, photographs
from deepnets.tasks.fixed import FullBatch, full_batch
from deepnets.tasks.idx_images import fashion_mnist, mnist
from deepnets.tasks.images import Images
from deepnets.tasks.mnist1m import mnist_1m
from deepnets.tasks.own import Own, from_loader
from deepnets.tasks.scikit_digits import Digits, digits
from deepnets.tasks.stream import Task, as_task
from deepnets.tasks.synthetic import MultiIndex, SingleIndex, multi_index, single_index
from deepnets.tasks.teachers import Linear, Teacher, linear, teacher
from deepnets.tasks.tiny_images import tiny_imagenet

__all__ = ["Digits", "FullBatch", "Images", "Linear", "MultiIndex", "Own", "Photographs", "SingleIndex", "Task", "Teacher", "Text",
           "as_task", "cifar5m", "cifar10", "digits", "fashion_mnist", "from_loader", "full_batch", "linear", "mnist", "mnist_1m",
           "multi_index", "photographs", "single_index", "teacher", "text", "tiny_imagenet"]
