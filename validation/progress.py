"""Show the progress of long work: as a bar on a terminal, as lines elsewhere, or by a function of the user's."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

EVERY = 10.0        # seconds between plain lines, unless a twentieth of the work is done before


@dataclass
class Progress:
    """The part of a known amount of work that is done.

    Attributes
    ----------
    total, done : the amount, and how much of it is done; `before` was done when the work began.
    failed, deaths : the amount that failed, and the number of workers that died.
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
        """The estimated seconds for the rest; infinite before anything is done."""
        return (self.total - self.done) / self.rate if self.done > self.before else float("inf") if self.done < self.total else 0.0

    def describe_failures(self) -> str:
        """Return the numbers of failures and worker deaths in words; empty if there are none."""
        counts = [f"{self.failed} failed"] * bool(self.failed) + [f"{self.deaths} worker deaths"] * bool(self.deaths)
        return "".join(f", {t}" for t in counts)


@contextmanager
def bar(total: int, what: str, unit: str, shown: bool | Callable[[Progress], None] = True,
        before: int = 0) -> Iterator[Callable[..., None]]:
    """Yield a function to call with the amount done since its last call, and with ``failed=`` and ``deaths=`` if there are any.

    Parameters
    ----------
    total : the amount; work that ends earlier completes the bar.
    what, unit : words before and after it.
    shown : True: a bar on the terminal, or plain lines on standard error; a function: called with the `Progress` each time.
    before : the amount that was done before.
    """
    state = Progress(total, before, before)
    show, close = (shown, None) if callable(shown) else _choose_display(state, what, unit) if shown else (lambda state: None, None)

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


def _choose_display(state: Progress, what: str, unit: str) -> tuple[Callable[[Progress], None], Callable[[], None] | None]:
    """Return a function that shows the progress, and one that ends the display."""
    if not sys.stderr.isatty():
        return _print_lines(what, unit), None
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
    except ImportError:
        return _print_lines(what, unit), None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit + "{task.fields[troubles]}"),
               TextColumn("{task.fields[rate]:.3g} a second"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    shows = Bar(*columns, console=Console(stderr=True))
    task = shows.add_task(what, total=state.total, completed=state.before, troubles="", rate=0.0)
    shows.start()

    def show(state: Progress) -> None:
        shows.update(task, completed=state.done, troubles=state.describe_failures(), rate=state.rate)

    def close() -> None:
        shows.update(task, total=state.done)
        shows.stop()

    return show, close


def _print_lines(what: str, unit: str) -> Callable[[Progress], None]:
    last = [time.monotonic(), -1]          # when a line was last written, and how much was done then

    def show(state: Progress) -> None:
        share = state.done / max(state.total, 1)
        since = time.monotonic() - last[0]
        early = since < EVERY and (since < 1 or state.done - last[1] < 0.05 * state.total)
        if state.done == last[1] or (early and state.done < state.total):
            return
        last[:] = time.monotonic(), state.done
        print(f"{what}: {state.done}/{state.total} {unit} ({share:.0%}), {state.rate:.3g} a second, {in_words(state.left)} left"
              f"{state.describe_failures()}", file=sys.stderr, flush=True)

    return show


def in_words(seconds: float) -> str:
    """Return a time in words."""
    if seconds == float("inf"):
        return "unknown time"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours >= 48:
        return f"{hours / 24:,.0f} days" if hours < 24 * 730 else f"{hours / (24 * 365.25):,.3g} years"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
