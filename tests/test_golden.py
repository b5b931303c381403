"""Files that an earlier version wrote are read as it read them, and its trials keep their identities.

What `tests/golden/` holds was written at commit 6b6ce0f, before the inner rooms; nothing regenerates it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from lambdapress.framework import Compressed, Compressible, form_of, load, save, to_plain
from lambdapress.sweeps import load_results, trial_model
from lambdapress.sweeps.gin.files import packaged
from lambdapress.sweeps.plan.plan import plan

GOLDEN = Path(__file__).parent / "golden"
FORMS = {"compressible": Compressible, "compressed": Compressed, "compressed_once": Compressed}


@pytest.mark.parametrize("name", FORMS)
def test_a_keras_file_gives_the_same_outputs_and_the_same_bytes(name, tmp_path):
    model = tf.keras.models.load_model(GOLDEN / f"{name}.keras", compile=False)
    assert isinstance(model, FORMS[name])
    expected = np.load(GOLDEN / "keras_outputs.npz")
    np.testing.assert_array_equal(model(expected["inputs"]), expected["outputs"])
    save(model, tmp_path / "again.lpz")
    assert (tmp_path / "again.lpz").read_bytes() == (GOLDEN / "keras_models.lpz").read_bytes()
    if name == "compressible":
        assert float(model.lmbda) == 0.5
        np.testing.assert_array_equal([float(loss) for loss in model.losses], expected["rate"])


def test_an_lpz_file_of_a_keras_model_decodes_to_the_same_weights():
    model = tf.keras.models.load_model(GOLDEN / "compressible.keras", compile=False)
    loaded = load(GOLDEN / "keras_models.lpz", model)
    for ours, theirs in zip(to_plain(loaded).weights, to_plain(model).weights, strict=True):
        assert ours.numpy().tobytes() == theirs.numpy().tobytes(), ours.name
    assert form_of(loaded) == "compressed"


def test_a_result_and_its_trial_are_read_as_before(tmp_path):
    folder = tmp_path / "trial"
    shutil.copytree(GOLDEN / "trial", folder)
    record = json.loads((folder / "result.json").read_text())
    (row,) = load_results(tmp_path).to_dict("records")
    for name, value in record.items():  # written in schema 1
        if name in row and name not in ("overrides", "error"):
            assert row[name] == value, name
    assert row["direction"] == "higher" and row["split"] == "test"
    with trial_model(folder) as (task, model):
        assert task.evaluate(model).values["accuracy"] == record["metric"]


@pytest.mark.parametrize("sweep", sorted(packaged("sweeps")))
def test_the_trials_of_a_shipped_sweep_keep_their_identities(sweep):
    known = json.loads((GOLDEN / "identities.json").read_text(encoding="utf-8"))

    def name(trial) -> str:
        settings = f" {json.dumps(dict(trial.overrides), sort_keys=True)}" if trial.overrides else ""
        return f"{trial}{settings}"

    now = {name(trial): trial.identity for trial in plan(sweep).trials}
    assert {trial: now.get(trial) for trial in known[sweep]} == known[sweep]  # a sweep may grow
