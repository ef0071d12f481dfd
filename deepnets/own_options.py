"""Options of `lazyrich where` and `lazyrich tune`: a network of the user's own, its data, loss and optimizer."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from validation.whole_numbers import Whole

if TYPE_CHECKING:
    from deepnets.tasks import Task

SYNTHETIC: dict[str, tuple[int, ...]] = {"single-index": (2,), "multi-index": (), "teacher": ()}     # the arguments after dim
BUILT_IN_DATA = ("digits", "photographs", *SYNTHETIC)
DIM = 16                # inputs of the synthetic tasks
HELD_OUT = 5            # one in so many samples of an .npz file is held out, where the file does not say which
DATA_FORMS = f"{', '.join(BUILT_IN_DATA)}, FILE.npz with arrays x and y, or FILE.py:NAME of a task, of a pair of loaders, or of a function"


class Answer(Protocol):
    """What `deepnets.where` and `tune` return."""

    def describe(self) -> dict[str, Any]:
        """Return the answer as JSON."""
        ...

    def report(self) -> str:
        """Return the answer in sentences."""
        ...


@dataclass(frozen=True)
class OwnOptions:
    """A network of one's own, its data, loss and optimizer, and what is printed.

    Parameters
    ----------
    network
        The network, as mine.py:Net: a torch.nn.Module, a class or function that makes one (without arguments, or of the seed), or a
        specification such as deepnets.MLP(...).
    data
        The data: digits, single-index or teacher; FILE.npz with arrays x and y (and x_held_out, y_held_out); or, as mine.py:data, a task,
        a pair of loaders (shown, held out), or a function that returns either.
    loss
        mse (half the squared error), cross_entropy, or one's own, as mine.py:loss: a torch loss module or a function.
    optimizer
        The optimizer, with its default hyperparameters.
    batch_size
        The number of fresh samples in each step.
    device
        auto (a GPU if there is one), cpu, cuda or cuda:1.
    json
        Print the answer as JSON.
    quiet
        Show no progress bar.
    """

    network: str
    _: KW_ONLY
    data: str
    loss: str = "mse"
    optimizer: Literal["sgd", "signsgd", "momentum", "nesterov", "adam", "adamw", "lion", "muon"] = "sgd"
    batch_size: Whole = 32
    device: str = "auto"
    json: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        from validation.arguments import Misuse, whole

        whole("batch_size", self.batch_size)
        if self.loss not in ("mse", "cross_entropy") and ":" not in self.loss:
            raise Misuse(f"loss must be mse, cross_entropy, or FILE.py:NAME, not {self.loss!r}")
        if self.data not in BUILT_IN_DATA and ":" not in self.data and not self.data.endswith(".npz"):
            raise Misuse(f"data must be one of {DATA_FORMS}, not {self.data!r}")

    def arguments(self, seeds: str) -> dict[str, Any]:
        """Return the arguments of `deepnets.where` and `tune` that the command line names.

        Parameters
        ----------
        seeds : how many, or which, with commas.

        Raises
        ------
        Misuse : torch is not installed; a file, an object in it, or data that cannot be used.
        """
        from deepnets.cli_options import EXTRA, seeds_of
        from validation.arguments import Misuse
        from validation.own_files import load_object

        chosen = seeds_of(seeds)
        try:
            import torch  # noqa: F401
        except ImportError as error:
            raise Misuse(f"{EXTRA} ({error})") from None
        loss: Any = self.loss if ":" not in self.loss else load_object("loss", self.loss)
        return {"network": read_network(self.network), "task": read_task(self.data), "loss": loss, "optimizer": self.optimizer,
                "batch_size": self.batch_size, "seeds": chosen, "device": self.device}

    def print_answer(self, answer: Answer) -> None:
        """Print what `deepnets.where` or `tune` found, as sentences or as JSON."""
        from json import dumps

        from validation.printable import print_text

        print_text(dumps(answer.describe(), indent=2) if self.json else answer.report())


def read_network(text: str) -> Any:
    """Return the network FILE.py:NAME: a specification, a module, a function of the seed, or a function or class without arguments.

    The latter two become functions of the seed, which the experiment sets before it calls them.

    Raises
    ------
    Misuse : no such file or object; one that is not callable, or needs more arguments than the seed.
    """
    from torch import nn

    from deepnets.behaviour import name_error
    from deepnets.centered.source_line import find_source_line
    from validation.arguments import Misuse
    from validation.own_files import load_object

    found = load_object("network", text)
    if hasattr(found, "scalings") or isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise Misuse(f"network must name a torch.nn.Module, a class or function that makes one, or a specification, not {found!r}")
    needed = _count_arguments(found)
    if needed > 1:
        raise Misuse(f"network must take no argument, or the seed alone, but {text} needs {needed}: write a function around it")
    if needed == 1 and isinstance(found, type):
        raise Misuse(f"network must be a class without required arguments, but {text} needs one: write a function around it")

    @functools.wraps(found, updated=())
    def build(seed: int) -> Any:
        try:
            return found(seed) if needed else found()
        except (Misuse, KeyboardInterrupt, MemoryError):
            raise
        except Exception as error:
            line = find_source_line(error)
            raise Misuse(f"network {text} fails with {name_error(error)}{f' ({line})' if line else ''}") from error

    del build.__wrapped__      # its signature would be taken for this one's
    return build


def _count_arguments(make: Callable[..., Any]) -> int:
    """Return how many arguments a callable needs; one where it does not say."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):
        return 1
    return sum(p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)


def read_task(text: str) -> Task:
    """Return the task that `--data` names.

    Raises
    ------
    Misuse : no such file or object, or data that cannot be used.
    """
    from deepnets import tasks
    from validation.arguments import Misuse
    from validation.own_files import load_object
    from validation.storage.atomic import expand_home

    if text in BUILT_IN_DATA:
        build: Any = getattr(tasks, text.replace("-", "_"))
        return build(DIM, *SYNTHETIC[text]) if text in SYNTHETIC else build()      # type: ignore[no-any-return]
    if text.endswith(".npz"):
        return _read_arrays(expand_home("data", Path(text)))
    found = load_object("data", text)
    if callable(found) and not isinstance(found, tasks.Task):
        try:
            found = found()
        except (Misuse, KeyboardInterrupt):
            raise
        except Exception as error:
            raise Misuse(f"data {text!r}: the function fails with {type(error).__name__}: {error}") from error
    if isinstance(found, tuple | list) and len(found) == 2:
        return tasks.as_task(tasks.from_loader(*found))
    if isinstance(found, type) or not isinstance(found, tasks.Task):
        raise Misuse(f"data must be one of {DATA_FORMS} that returns one of these, and {text} is {found!r}")
    return found


def _read_arrays(path: Path) -> Task:
    """Return the task of a file of numpy arrays; every fifth sample is held out unless the file has held-out ones."""
    import numpy as np

    from deepnets import tasks
    from validation.arguments import Misuse

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: Mapping[str, np.ndarray] = {name: file[name] for name in file.files}
    except OSError as error:
        raise Misuse(f"data cannot be read: {path}: {error.strerror or error}") from None
    except Exception as error:      # zip and numpy raise many types of exceptions on other or broken files
        raise Misuse(f"data must be an .npz file of numbers, and {path} is none: {type(error).__name__}: {error}") from None
    if missing := [name for name in ("x", "y") if name not in arrays]:
        raise Misuse(f"data must hold the arrays x and y, but {path} holds {', '.join(arrays) or 'nothing'} and no {missing[0]}")
    x, y = arrays["x"], arrays["y"]
    if "x_held_out" in arrays and "y_held_out" in arrays:
        return tasks.as_task(tasks.from_loader([(x, y)], [(arrays["x_held_out"], arrays["y_held_out"])]))
    if x.ndim < 1 or y.ndim < 1 or len(x) != len(y) or len(x) < HELD_OUT:
        raise Misuse(f"data must hold as many x as y, at least {HELD_OUT}, but {path} has arrays of shape {x.shape} and {y.shape}")
    chosen = np.arange(len(x)) % HELD_OUT == HELD_OUT - 1
    return tasks.as_task(tasks.from_loader([(x[~chosen], y[~chosen])], [(x[chosen], y[chosen])]))
