"""A progress bar on the terminal, for work of a known amount; knows no work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(total: int, what: str, unit: str, shown: bool = True) -> Iterator[Callable[..., None]]:
    """Give a function to call with the amount done since the last call; it moves a bar on the terminal, if one is wanted.

    Parameters
    ----------
    total : the amount; work that ends earlier fills the bar.
    what, unit : words before and after it.
    """
    if not shown:
        yield lambda amount=1: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeElapsedColumn(),
               TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as shows:
        task = shows.add_task(what, total=total)
        yield lambda amount=1: shows.advance(task, amount)
        shows.update(task, total=shows.tasks[0].completed)
