"""Gives tests shared fixtures: a clean global state around each, and the datasets that some need."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

# Set before any test imports TensorFlow or matplotlib.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest

SEED = 20
SWITCH = "LAMBDAPRESS_REQUIRE_DATA"


def prepared_data(dataset: str) -> Path:
    """Returns the TFDS folder if it holds `dataset`; else skips the test, or fails it if data is required."""
    needs = f"needs data: set TFDS_DATA_DIR to a folder with {dataset} prepared"
    folder = os.environ.get("TFDS_DATA_DIR")
    if folder and (Path(folder) / dataset).is_dir():
        return Path(folder)
    if os.environ.get(SWITCH) == "1":
        pytest.fail(f"{needs} (got {folder!r}; {SWITCH}=1 does not allow skipping)")
    pytest.skip(needs)


@pytest.fixture
def mnist_data_dir() -> Path:
    """Returns a TFDS data folder with MNIST prepared."""
    return prepared_data("mnist")


@pytest.fixture
def cifar10_data_dir() -> Path:
    """Returns a TFDS data folder with CIFAR-10 prepared."""
    return prepared_data("cifar10")


def reset_global_state() -> None:
    """Resets gin, Keras and seeds after a test; imports no module that is not imported yet."""
    random.seed(SEED)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(SEED)
    if gin := sys.modules.get("gin"):
        gin.clear_config()
    if modules := sys.modules.get("lambdapress.sweeps.gin.user_modules"):
        modules._imported.clear()
    if "keras" in sys.modules and (tf := sys.modules.get("tensorflow")):
        tf.random.set_seed(SEED)
        tf.keras.backend.clear_session()
        tf.keras.mixed_precision.set_global_policy("float32")
        sys.modules["tensorflow.python.framework.config"].disable_op_determinism()


@pytest.fixture(autouse=True)
def clean_state():
    """Gives every test the same global state, and removes what the test leaves behind."""
    reset_global_state()
    yield
    reset_global_state()
