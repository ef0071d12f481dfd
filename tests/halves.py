"""Half of all combinations of settings, chosen so that every two settings still meet."""

import itertools
import os

import pytest

PATIENT = pytest.mark.skipif(not os.environ.get("LAZYRICH_PATIENT"), reason="the other half; LAZYRICH_PATIENT=1 runs it")


def every_pair(*settings):
    """Return the combinations of three or more lists as parameters; those whose indices have an odd sum are run at request."""
    assert len(settings) >= 3
    return [pytest.param(*(values[i] for values, i in zip(settings, at, strict=True)), marks=[PATIENT] if sum(at) % 2 else [])
            for at in itertools.product(*(range(len(values)) for values in settings))]
