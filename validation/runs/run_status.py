"""Say of each run whether it finished, diverged or is unknown, from its loss and a tracker's word: unknown is not diverged."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from validation.arguments import Misuse, choose
from validation.outcome import Outcome

FINISHED, DIVERGED, UNKNOWN = STATUSES = ("finished", "diverged", "unknown")
_FINISHED = "finished complete completed done success successful succeeded ok"
_DIVERGED = "diverged exploded"
_UNKNOWN = ("unknown crashed crash failed fail failure error killed lost timeout preempted aborted cancelled canceled interrupted stopped "
            "pruned early_stopped oom unfinished running pending queued scheduled waiting missing")
WORDS = ({word: FINISHED for word in _FINISHED.split()} | {word: DIVERGED for word in _DIVERGED.split()}
         | {word: UNKNOWN for word in _UNKNOWN.split()}
         | {o.label: FINISHED for o in Outcome if o not in (Outcome.UNRUN, Outcome.FAILED, Outcome.DIVERGED)}
         | {Outcome.UNRUN.label: UNKNOWN, "": UNKNOWN})


def read_words(words: Mapping[str, str] | None) -> dict[str, str]:
    """Return the status that each word stands for, in lower case; `words` adds to the table, or replaces entries.

    Raises
    ------
    Misuse : `words` is no mapping of words to statuses.
    """
    if words is None:
        return WORDS
    if not isinstance(words, Mapping) or not all(isinstance(word, str) for word in words):
        raise Misuse(f"words must map words of the status column to {', '.join(STATUSES)}, not {words!r}")
    return WORDS | {word.strip().lower(): choose(f"words[{word!r}]", status, STATUSES) for word, status in words.items()}


def judge_run(loss: float, present: bool, status: str = FINISHED, logged: bool = False) -> str:
    """Return a run's status.

    Parameters
    ----------
    loss : the loss at its end, or NaN.
    present : whether a loss was written. Without one a run that is not called diverged is unknown.
    status : what the tracker's word stands for. A NaN in the row of a crashed run may stand for nothing: unknown.
    logged : whether the run itself logged the number: NaN and infinity then show that it diverged, whatever ended it.
    """
    if status == DIVERGED:
        return DIVERGED
    if present and not np.isfinite(loss) and (logged or status == FINISHED):
        return DIVERGED
    return status if present else UNKNOWN
