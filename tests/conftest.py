"""Shared fixtures: a clean global state around each test, and the datasets that some tests need."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

# Before TensorFlow and matplotlib are first imported, by whichever test.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest

SEED = 20
SWITCH = "LAMBDAPRESS_REQUIRE_DATA"


def prepared_data(dataset: str) -> Path:
    """The TFDS folder, if it holds `dataset`; else skips the test, or fails it where data must be there."""
    needs = f"needs data: set TFDS_DATA_DIR to a folder with {dataset} prepared"
    folder = os.environ.get("TFDS_DATA_DIR")
    if folder and (Path(folder) / dataset).is_dir():
        return Path(folder)
    if os.environ.get(SWITCH) == "1":
        pytest.fail(f"{needs} (got {folder!r}; {SWITCH}=1 does not allow skipping)")
    pytest.skip(needs)


@pytest.fixture
def mnist_data_dir() -> Path:
    """A TFDS data folder with MNIST prepared."""
    return prepared_data("mnist")


@pytest.fixture
def cifar10_data_dir() -> Path:
    """A TFDS data folder with CIFAR-10 prepared."""
    return prepared_data("cifar10")


def reset_global_state() -> None:
    """Undoes what a test may have left in gin and Keras, and seeds; imports nothing that is not there yet."""
    random.seed(SEED)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(SEED)
    if gin := sys.modules.get("gin"):
        gin.clear_config()
    if "keras" in sys.modules and (tf := sys.modules.get("tensorflow")):
        tf.random.set_seed(SEED)
        tf.keras.backend.clear_session()
        tf.keras.mixed_precision.set_global_policy("float32")
        sys.modules["tensorflow.python.framework.config"].disable_op_determinism()


@pytest.fixture(autouse=True)
def clean_state():
    """Every test starts from the same global state and leaves none behind."""
    reset_global_state()
    yield
    reset_global_state()
