"""Run groups of cases, with a line of JSON for each: python -m tests.pretended_device planes,mistakes; the library must be preloaded."""

from __future__ import annotations

import json
import sys
import time
import traceback
import warnings

from tests.pretended_device.install import install


def main(groups: str, *names: str) -> None:
    """Run the cases of some groups, or those whose names begin with one of `names`."""
    install()
    from deepnets import experiment
    from tests.pretended_device.cases import GROUPS
    from tests.pretended_device.steps import without_waits
    from tests.pretended_device.tensors import COUNTS

    experiment.train = without_waits(experiment.train)
    warnings.simplefilter("ignore")
    for group, name, case in ((g, *case) for g in groups.split(",") for case in GROUPS[g]()):
        if names and not name.startswith(names):
            continue
        COUNTS.clear()
        begin, error = time.process_time(), None
        try:
            case()
        except Exception:
            error = traceback.format_exc()
        print(json.dumps({"group": group, "case": name, "seconds": round(time.process_time() - begin, 2), "error": error,
                          "kernels": COUNTS.kernels.total(), "waits": COUNTS.waits.total()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
