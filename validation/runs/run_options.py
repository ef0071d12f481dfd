"""Options of the command line for tables of runs: which columns, which threshold, which claim. A command's help imports nothing else."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

if TYPE_CHECKING:
    import xarray as xr

try:
    from cyclopts import Parameter

    Text = Annotated[str, Parameter(allow_leading_hyphen=True)]          # "-1" and "-1/2" are numbers, not options
    Texts = Annotated[tuple[str, ...], Parameter(allow_leading_hyphen=True, consume_multiple=False)]
except ImportError:
    Text, Texts = str, tuple[str, ...]      # type: ignore[misc]

READING = ("x2", "status", "seed", "group", "decimal", "delimiter", "encoding", "study", "pattern")      # arguments of `read_runs`


@dataclass(frozen=True)
class RunOptions:
    """How a table of runs is read and judged.

    Parameters
    ----------
    x
        The column of the scale over which exponents are judged: gamma, width, depth, batch size, tokens, ...
    x2
        The column of a second scale that varies with x, such as tokens with parameters: both exponents of eta ~ x^a x2^b are judged.
    eta
        The column of the learning rate.
    loss
        The column of the loss, or of an accuracy; of an Optuna study, value is the objective.
    status
        The column of a word for each run's end; if not given, the tracker's own.
    seed
        The column of the seed.
    group
        A column whose values are judged one by one, such as optimizer; may be repeated.
    trained_below
        A run is trained if its loss is at most this; the edges of the rates that train are then judged too.
    accuracy_above
        The loss is an accuracy, and a run is trained if it is at least this.
    claim
        The exponent to compare with, a number or a fraction: eta ~ x^-1 is -1, eta that does not depend on x is 0.
    claim2
        With x2, the exponent of x2 to compare with.
    theory
        In place of a claim: mup (0) or sp (-1) over a width, gamma-lazy (2) or gamma-rich:L (2/L, L matrices) over gamma, of SGD.
    rival
        An exponent from which the claim has to be separated; may be repeated. If not given, over gamma those of other depths, otherwise 0
        and the multiples of 1/2 next to the claim.
    window
        First and last x to fit; if not given, all.
    shared
        Runs at different x share something random, as one network's weights at several gamma: their errors may be correlated. If not given,
        over gamma alone.
    bins
        In how many bins of x, with equal counts, the best rate is read; if not given, in 4 to 8 where x has many values with fewer than
        three rates each.
    word
        What a word of the status column means, such as meltdown=diverged; may be repeated.
    decimal
        The decimal sign of a CSV file, . or ,
    delimiter
        The delimiter of a CSV file.
    encoding
        The encoding of a text file.
    study
        The name of the Optuna study or the MLflow experiment, where a database has several.
    pattern
        A regular expression whose named groups are columns, searched in the folder of each TensorBoard run.
    """

    x: str | None = None
    x2: str | None = None
    eta: str | None = None
    loss: str | None = None
    status: str | None = None
    seed: str | None = None
    group: tuple[str, ...] = ()
    trained_below: float | None = None
    accuracy_above: float | None = None
    claim: Text | None = None
    claim2: Text | None = None
    theory: str | None = None
    rival: Texts = ()
    window: tuple[float, float] | None = None
    shared: bool | None = None
    bins: int | None = None
    word: tuple[str, ...] = ()
    decimal: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    study: str | None = None
    pattern: str | None = None

    def check_scales(self) -> None:
        """Refuse what one scale or two scales do not take.

        Raises
        ------
        Misuse : an option of the other kind.
        """
        from validation.arguments import Misuse

        if self.x2 is None and self.claim2 is not None:
            raise Misuse("--claim2 is the exponent of --x2, which must be given")
        for name in ("theory", "trained_below", "window", "shared", "bins"):
            if self.x2 is not None and getattr(self, name) is not None:
                raise Misuse(f"--{name.replace('_', '-')} belongs to runs over one scale, not to --x2")

    @property
    def given(self) -> list[str]:
        """The options that are not at their defaults, as they are written."""
        return [f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(self) if getattr(self, field.name) != field.default]

    def read(self, path: Path) -> xr.Dataset:
        """Return the runs of a table.

        Raises
        ------
        Misuse : x, eta or loss is missing, with the columns that the table has; or what `validation.read_runs` refuses.
        """
        from validation.arguments import Misuse
        from validation.runs.reading import list_columns, read_runs

        options = {name: value for name in READING if (value := getattr(self, name)) not in (None, ())}
        with name_options():
            if missing := [f"--{name}" for name in ("x", "eta", "loss") if getattr(self, name) is None]:
                how = {name: options[name] for name in ("delimiter", "encoding", "study", "pattern") if name in options}
                raise Misuse(f"{path} is a table of runs, of which {', '.join(missing)} must be given; its columns are "
                             f"{', '.join(map(repr, list_columns(path, **how)))}")
            return read_runs(path, self.x, self.eta, self.loss, words=self._read_words(), **options)      # type: ignore[arg-type]

    def _read_words(self) -> dict[str, str] | None:
        from validation.arguments import Misuse

        pairs = [word.partition("=") for word in self.word]
        if wrong := [word for word, equals, _ in pairs if not equals]:
            raise Misuse(f"word must be such as meltdown=diverged, not {wrong[0]!r}")
        return {word: status for word, _, status in pairs} or None


@contextmanager
def name_options() -> Iterator[None]:
    """Let the message about a refused table name the options of the command line that help."""
    from validation.arguments import Misuse

    try:
        yield
    except Misuse as error:
        text = re.sub(r"words=\{'(.*?)': 'finished', 'diverged' or 'unknown'\}", r"--word \1=finished, \1=diverged or \1=unknown",
                      str(error))
        raise Misuse(re.sub(r"\b(decimal|encoding)='(.*?)'", r"--\1 \2", text)) from error
