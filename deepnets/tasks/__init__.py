"""Tasks: streams of batches, each batch a pure function of (seed, step); knows no network."""

from deepnets.tasks.idx_images import fashion_mnist, mnist
from deepnets.tasks.images import Images
from deepnets.tasks.scikit_digits import Digits, digits
from deepnets.tasks.stream import Task, as_task
from deepnets.tasks.synthetic import SingleIndex, single_index

__all__ = ["Digits", "Images", "SingleIndex", "Task", "as_task", "digits", "fashion_mnist", "mnist", "single_index"]
