"""Trains, compresses, saves, reads back and evaluates each experiment of Official Models.

    python tests/tasks/test_official_coverage.py [EXPERIMENT ...]

runs them all (or those named) and writes the results to gin_configs/official_models.csv and
docs/official_models.md. The tests compare these files with their own results.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import algorithms, load, save, to_compressible
from lambdapress.framework.forms.types import Compressed, Compressible
from lambdapress.framework.surgery.computed_weights import computed_weights_of
from lambdapress.framework.task import main_value
from lambdapress.tasks import official_coverage
from lambdapress.tasks.official import OfficialTask

sys.path.insert(0, str(Path(__file__).parent))
from official_experiments import EXPERIMENTS, Experiment  # noqa: E402

ROOT = Path(__file__).parents[2]
CSV = ROOT / "gin_configs" / official_coverage.FILE
PAGE = ROOT / "docs" / "official_models.md"
ATTRIBUTES = ("backbone", "decoder", "head", "encoder_network", "checkpoint_items")


class _Losses(tf.keras.callbacks.Callback):
    def __init__(self, task):
        super().__init__()
        self.evaluate = lambda: task.evaluator(self.model, task.splits[0])()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(dict(logs or {}))

    def on_epoch_end(self, epoch, logs=None):
        """An evaluation in the middle of a training, as `sweep.stop` has it, changes nothing in it."""
        variables = [*self.model.variables, *self.model.optimizer.variables()]
        before = [variable.numpy() for variable in variables]
        self.evaluate()
        for variable, value in zip(variables, before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)


def try_out(experiment: Experiment, folder: Path) -> official_coverage.Coverage:
    """Takes an experiment through every stage with checks, and returns its coverage."""
    task = OfficialTask(experiment.name, experiment.overrides(folder), metric_name=experiment.metric)
    plain = task.build_model()
    model = to_compressible(plain, algorithms.build("power_law"), lmbda=1.0)
    assert isinstance(model, Compressible) and isinstance(model, type(plain))
    assert all(hasattr(model, name) == hasattr(plain, name) for name in ATTRIBUTES)

    losses = _Losses(task)
    latents = [computed.variables()["latent"] for computed in computed_weights_of(model)]
    before = [latent.numpy() for latent in latents]
    task.train(model, [losses])
    assert losses.seen and all(math.isfinite(logs["loss"]) for logs in losses.seen)
    assert all(logs["rate_loss"] > 0 for logs in losses.seen), "the rate is not in the loss"
    moved = np.mean([not np.array_equal(latent, b) for latent, b in zip(latents, before, strict=True)])
    assert moved > 0.5, f"training moved only {moved:.0%} of the weights"

    save(model, folder / "model.lpz")
    stored = load(folder / "model.lpz", plain)
    assert isinstance(stored, Compressed) and isinstance(stored, type(plain))
    assert math.isfinite(main_value(task, task.evaluate(stored)))
    return official_coverage.measure(experiment.name, plain, model, task.metrics[0].name)


# The quickest of each family stand for the others in `make test`.
FAST = ("bert/sentence_prediction", "resnet_imagenet")


def marked(experiment: Experiment):
    return pytest.param(experiment, marks=() if experiment.name in FAST else pytest.mark.slow)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("experiment", map(marked, EXPERIMENTS), ids=lambda experiment: experiment.name)
def test_an_experiment_goes_all_the_way(experiment, tmp_path):
    found = try_out(experiment, tmp_path)
    assert found.share >= 0.97
    written = dataclasses.replace(official_coverage.known()[experiment.name], note="")
    assert found == written, f"run python {Path(__file__).relative_to(ROOT)}"


def test_nearly_all_of_nearly_all_models_is_reached():
    shares = [row.share for row in official_coverage.known().values()]
    assert len(shares) == len(EXPERIMENTS)
    assert sum(share >= 0.99 for share in shares) >= 16


def page(rows: list[official_coverage.Coverage]) -> str:
    lines = [
        "# Official Models",
        "",
        "What compression reaches in experiments of TensorFlow Official Models 2.14.2, each at the small",
        "size of `tests/tasks/official_experiments.py`, made compressible, trained for 2 steps, saved, read",
        "back and evaluated by the command that wrote this page:",
        "",
        "    python tests/tasks/test_official_coverage.py",
        "",
        "Weights are those that are trained. One that is not reached is a gain or an offset of a",
        "normalisation, and stays as it is.",
        "",
        "| experiment | model | weights reached | parameters | share reached | metric |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row.parameters:
            reached = f"{row.reached_weights} of {row.weights} | {row.parameters:,} | {row.share:.2%}"
            cells = f"{reached} | {row.metric}"
        else:
            cells = f"– | – | – | does not work: {row.note}"
        lines.append(f"| `{row.experiment}` | {row.model or '–'} | {cells} |")
    return "\n".join(lines) + "\n"


def test_the_page_shows_what_is_known():
    assert PAGE.read_text(encoding="utf-8") == page(list(official_coverage.known().values()))


def main(names: list[str]) -> None:
    rows = official_coverage.known() if CSV.exists() else {}
    for experiment in EXPERIMENTS:
        if names and experiment.name not in names:
            continue
        tf.keras.backend.clear_session()
        with tempfile.TemporaryDirectory() as folder:
            try:
                row = try_out(experiment, Path(folder))
            except Exception as error:  # an experiment that fails stays in the table, with the reason
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                row = official_coverage.Coverage(experiment.name, note=reason)
        rows[experiment.name] = row
        print(f"{row.experiment:28} {row}", flush=True)
        ordered = [rows[e.name] for e in EXPERIMENTS if e.name in rows]
        with CSV.open("w", encoding="utf-8") as file:
            official_coverage.write(ordered, file)
        PAGE.write_text(page(ordered), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
