"""How far a long work is: a bar on the terminal, plain lines where there is none, or a function of one's own; knows no work."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

EVERY = 10.0        # seconds between plain lines, unless a twentieth of the work is done before


@dataclass
class Progress:
    """What has been done of a known amount.

    Attributes
    ----------
    total, done : the amount, and what is done of it; `before` of that was done when the work began.
    failed, deaths : how much was given up, and how many workers died.
    """

    total: int
    before: int = 0
    done: int = 0
    failed: int = 0
    deaths: int = 0
    began: float = field(default_factory=lambda: time.monotonic())

    @property
    def rate(self) -> float:
        """The amount done a second."""
        return (self.done - self.before) / max(time.monotonic() - self.began, 1e-9)

    @property
    def left(self) -> float:
        """The seconds that the rest will take; infinite before anything is done."""
        return (self.total - self.done) / self.rate if self.done > self.before else float("inf") if self.done < self.total else 0.0

    def troubles(self) -> str:
        """Return in words what went wrong, if anything did."""
        told = [f"{self.failed} failed"] * bool(self.failed) + [f"{self.deaths} worker deaths"] * bool(self.deaths)
        return "".join(f", {t}" for t in told)


@contextmanager
def bar(total: int, what: str, unit: str, shown: bool | Callable[[Progress], None] = True,
        before: int = 0) -> Iterator[Callable[..., None]]:
    """Give a function to call with the amount done since the last call, and ``failed=``, ``deaths=`` if there are any.

    Parameters
    ----------
    total : the amount; work that ends earlier fills the bar.
    what, unit : words before and after it.
    shown : True: a bar on the terminal, or plain lines on standard error; a function: called with the `Progress` each time.
    before : what is done already.
    """
    state = Progress(total, before, before)
    show, close = (shown, None) if callable(shown) else _shower(state, what, unit) if shown else (lambda state: None, None)

    def advance(amount: int = 1, failed: int = 0, deaths: int = 0) -> None:
        state.done += amount
        state.failed += failed
        state.deaths += deaths
        show(state)

    try:
        yield advance
    finally:
        if close is not None:
            close()


def _shower(state: Progress, what: str, unit: str) -> tuple[Callable[[Progress], None], Callable[[], None] | None]:
    """Return what shows the progress, and what ends the show."""
    if not sys.stderr.isatty():
        return _lines(what, unit), None
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
    except ImportError:
        return _lines(what, unit), None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit + "{task.fields[troubles]}"),
               TextColumn("{task.fields[rate]:.3g} a second"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    shows = Bar(*columns, console=Console(stderr=True))
    task = shows.add_task(what, total=state.total, completed=state.before, troubles="", rate=0.0)
    shows.start()

    def show(state: Progress) -> None:
        shows.update(task, completed=state.done, troubles=state.troubles(), rate=state.rate)

    def close() -> None:
        shows.update(task, total=state.done)
        shows.stop()

    return show, close


def _lines(what: str, unit: str) -> Callable[[Progress], None]:
    told = [time.monotonic(), -1]          # when a line was last written, and how much was done then

    def show(state: Progress) -> None:
        share = state.done / max(state.total, 1)
        since = time.monotonic() - told[0]
        early = since < EVERY and (since < 1 or state.done - told[1] < 0.05 * state.total)
        if state.done == told[1] or (early and state.done < state.total):
            return
        told[:] = time.monotonic(), state.done
        print(f"{what}: {state.done}/{state.total} {unit} ({share:.0%}), {state.rate:.3g} a second, {_span(state.left)} left"
              f"{state.troubles()}", file=sys.stderr, flush=True)

    return show


def _span(seconds: float) -> str:
    """Return a time in words."""
    if seconds == float("inf"):
        return "unknown time"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
