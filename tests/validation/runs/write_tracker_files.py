"""Write the files of test_trackers.py by the trackers themselves; run by hand, in an environment that has them.

python tests/validation/runs/write_tracker_files.py tests/validation/runs/files

Databases are written as SQL, of the tables that hold runs, without the names of a machine's user and folders.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

OPTUNA = ("studies", "trials", "trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes")
MLFLOW = ("experiments", "runs", "params", "tags", "metrics", "latest_metrics")


def dump(database: Path, tables: tuple[str, ...], target: Path, first: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as base:
        for name, in base.execute("SELECT name FROM sqlite_master WHERE type IN ('view', 'trigger')").fetchall():
            print("left out:", name)
        base.execute("PRAGMA foreign_keys = OFF")
        for name, in base.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").fetchall():
            if name not in tables:
                base.execute(f'DROP TABLE "{name}"')
        lines = [line for line in base.iterdump() if not line.startswith("CREATE INDEX")]
    target.write_text(f"-- {first}\n" + "\n".join(lines) + "\n")


def write_optuna(folder: Path, target: Path) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = f"sqlite:///{folder / 'study.db'}"
    study = optuna.create_study(storage=storage, study_name="widths", sampler=optuna.samplers.RandomSampler(0))
    # what each trial does: its intermediate values, then what it returns, or raises
    plan = [([0.9, 0.5], 0.25), ([0.9, math.nan], math.nan), ([], math.nan), ([0.9, math.inf], RuntimeError("out of memory")),
            ([0.9, 0.8], RuntimeError("out of memory")), ([0.9], math.inf), ([0.9, 0.7], optuna.TrialPruned()), ([0.4], 0.125)]

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_categorical("width", [64, 128, 256])
        trial.suggest_float("lr", 1e-4, 10, log=True)
        trial.suggest_int("batch", 16, 64, step=16)
        trial.set_user_attr("seed", trial.number % 2)
        steps, end = plan[trial.number]
        for step, value in enumerate(steps):
            trial.report(value, step)
        if isinstance(end, BaseException):
            raise end
        return end

    for i in range(len(plan)):
        study.enqueue_trial({"width": 64 * 2 ** (i % 3), "lr": 0.001 * 2**i, "batch": 32})
    study.optimize(objective, n_trials=len(plan), catch=(RuntimeError,))
    study.enqueue_trial({"width": 64, "lr": 1.0, "batch": 32})           # waits
    two = optuna.create_study(storage=storage, study_name="two objectives", directions=["minimize", "maximize"])
    two.enqueue_trial({"lr": 0.5})
    two.optimize(lambda trial: (trial.suggest_float("lr", 0.1, 1), 0.75), n_trials=1)
    dump(folder / "study.db", OPTUNA, target / "optuna.sql", f"written by optuna {version('optuna')}")


def write_mlflow(folder: Path, target: Path) -> None:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.set_experiment("widths")
    plan = [("FINISHED", [0.9, 0.25]), ("FINISHED", [0.9, math.nan]), ("FAILED", [0.9, math.nan]), ("FAILED", [0.9, 0.8]),
            ("KILLED", [0.9]), ("FINISHED", [0.9, math.inf]), ("FINISHED", []), ("RUNNING", [0.9])]
    for i, (status, losses) in enumerate(plan):
        mlflow.start_run(run_name=f"planned-{i}")
        mlflow.log_params({"width": 64 * 2 ** (i % 3), "lr": 0.001 * 2**i})
        for step, loss in enumerate(losses):
            mlflow.log_metric("val/loss", loss, step)
        mlflow.end_run(status)
    deleted = mlflow.start_run(run_name="deleted").info.run_id
    mlflow.log_params({"width": 64, "lr": 1})
    mlflow.end_run()
    mlflow.delete_run(deleted)
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as base:
        base.execute("UPDATE runs SET user_id = '', artifact_uri = ''")
        base.execute("UPDATE experiments SET artifact_location = ''")
        base.execute("DELETE FROM tags WHERE key LIKE 'mlflow.%' AND key != 'mlflow.runName'")
        base.commit()
    dump(folder / "mlflow.db", MLFLOW, target / "mlflow.sql", f"written by mlflow {version('mlflow-skinny')}")


def write_events(target: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    plan = [(64, 0.001, [0.9, 0.5, 0.25]), (64, 0.002, [0.9, 0.5, math.nan]), (128, 0.001, [0.9, 0.5]), (128, 0.002, [0.9, 0.5, 0.125])]
    for width, lr, losses in plan:
        for kind in ("named", "hparams", "two"):
            writer = SummaryWriter(target / kind / f"width{width}_lr{lr}")
            for step, loss in enumerate(losses):
                writer.add_scalar("val/loss", loss, step, new_style=kind == "two")
            if kind == "hparams":
                writer.add_hparams({"width": width, "lr": lr, "bias": False, "optimizer": "sgd"}, {"final": losses[-1]}, run_name="hparams")
            writer.close()
    # the names end in those of a machine and a process
    for path in sorted(target.rglob("events.out.tfevents.*")):
        path.rename(path.with_name("events.out.tfevents.0"))
    (target / "written_by.txt").write_text(f"torch {version('torch')}, tensorboard {version('tensorboard')}\n")


if __name__ == "__main__":
    output = Path(sys.argv[1])
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        write_optuna(Path(scratch), output)
        write_mlflow(Path(scratch), output)
    write_events(output / "events")
