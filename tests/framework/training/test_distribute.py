"""Checks that several devices train the same model as one, with the rate counted once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Run in a process of its own: logical devices can only be made before TensorFlow starts.
SCRIPT = """
import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from lambdapress.framework import algorithms, load, save, set_seeds, to_compressible
from lambdapress.framework.forms.rate import rate_of

rng = np.random.default_rng(0)
images, labels = rng.normal(size=(64, 8, 8, 1)).astype(np.float32), rng.integers(0, 4, 64)


def trained(strategy):
    set_seeds(0)
    with strategy.scope():
        layers = tf.keras.layers
        plain = tf.keras.Sequential([
            layers.InputLayer((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(4),
        ])
        model = to_compressible(plain, algorithms.build("ALGORITHM"), lmbda=0.5)
        model.compile(tf.keras.optimizers.SGD(0.05), tf.keras.losses.SparseCategoricalCrossentropy(True))
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(32)
    losses = model.fit(data, epochs=3, verbose=0).history["loss"]
    return model, losses


one, losses_of_one = trained(tf.distribute.get_strategy())
two, losses_of_two = trained(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
assert two.distribute_strategy.num_replicas_in_sync == 2
np.testing.assert_allclose(losses_of_two, losses_of_one, rtol=1e-4)
for ours, theirs in zip(two.trainable_variables, one.trainable_variables):
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=2e-3, atol=1e-4, err_msg=ours.name)
np.testing.assert_allclose(rate_of(two), rate_of(one), rtol=1e-3)
save(two, "PATH")
predictions = load("PATH", two).predict(images, verbose=0)
np.testing.assert_allclose(predictions, two.predict(images, verbose=0), atol=1e-5)
print("same")
"""


@pytest.mark.parametrize("algorithm", [pytest.param("power_law", marks=pytest.mark.slow), "epr"])
def test_two_devices_train_the_model_that_one_trains(algorithm, tmp_path):
    script = SCRIPT.replace("ALGORITHM", algorithm).replace("PATH", str(tmp_path / "model.lpz"))
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0 and done.stdout.strip().endswith("same"), done.stderr[-3000:]
