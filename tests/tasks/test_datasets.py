"""Tests TFDS splits as arrays, and the errors when the data is absent or damaged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from lambdapress.tasks import datasets
from lambdapress.tasks.datasets import DatasetError, load_split

# Nothing listens here, so that "no network" is the same on every machine.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


@pytest.fixture
def no_network(monkeypatch):
    for name in PROXIES:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def copied_mnist(mnist_data_dir, tmp_path):
    """Copies the prepared dataset, to damage it; returns its data folder and its version folder."""
    shutil.copytree(mnist_data_dir / "mnist", tmp_path / "mnist", copy_function=shutil.copyfile)
    for folder, _, _ in os.walk(tmp_path):
        os.chmod(folder, 0o755)
    (version,) = (tmp_path / "mnist").iterdir()
    return tmp_path, version


def test_a_split_is_read_once_and_cannot_be_changed(mnist_data_dir):
    split = load_split("mnist", "test", str(mnist_data_dir))
    assert split.images.shape == (10000, 28, 28, 1) and split.images.dtype == np.uint8
    assert split.labels.shape == (10000,) and split.labels.dtype == np.int64
    assert split.images.min() == 0 and split.images.max() == 255 and set(split.labels) == set(range(10))
    assert load_split("mnist", "test", str(mnist_data_dir)) is split
    with pytest.raises(ValueError, match="read-only"):
        split.images[0] = 0


def test_the_environment_names_the_folder(mnist_data_dir, monkeypatch):
    given = load_split("mnist", "test[:10]", str(mnist_data_dir))
    monkeypatch.setenv("TFDS_DATA_DIR", str(mnist_data_dir))
    np.testing.assert_array_equal(load_split("mnist", "test[:10]").images, given.images)


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_missing_data_without_network_says_what_to_do_and_soon(how, tmp_path, monkeypatch, no_network, capfd):
    if how == "argument":
        monkeypatch.setenv("TFDS_DATA_DIR", "/elsewhere")
        arguments = ("mnist", "test", str(tmp_path))
    else:
        monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
        arguments = ("mnist", "test")
    start = time.monotonic()
    with pytest.raises(DatasetError) as caught:
        load_split(*arguments)
    assert time.monotonic() - start < 60  # TFDS by itself retries for more than three minutes.
    message = str(caught.value)
    for part in ("'mnist'", str(tmp_path), "tfds.load('mnist')", "TFDS_DATA_DIR", "--data-dir"):
        assert part in message
    assert ("/elsewhere" in message) == (how == "argument")
    printed = capfd.readouterr()
    assert printed.out == "" and printed.err == ""
    assert not any(tmp_path.iterdir()), "a failed download leaves nothing behind"


def test_an_unknown_dataset_is_named(tmp_path):
    with pytest.raises(Exception, match="no_such_digits"):
        load_split("no_such_digits", "test", str(tmp_path))


def truncate(path):
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


@pytest.mark.parametrize(
    "damage",
    [
        lambda version: truncate(next(version.glob("*-test.tfrecord*"))),
        lambda version: next(version.glob("*-test.tfrecord*")).unlink(),
        lambda version: next(version.glob("*-test.tfrecord*")).write_bytes(b""),
        lambda version: (version / "dataset_info.json").unlink(),
        lambda version: truncate(version / "dataset_info.json"),
    ],
    ids=["short-data", "no-data", "empty-data", "no-info", "short-info"],
)
def test_a_damaged_folder_is_named(damage, copied_mnist, no_network):
    data_dir, version = copied_mnist
    damage(version)
    with pytest.raises(DatasetError, match="damaged") as caught:
        load_split("mnist", "test", str(data_dir))
    assert str(version.parent) in str(caught.value)


def test_a_file_that_the_reader_can_do_without_may_be_missing(copied_mnist, no_network):
    """Removes the features file, which TFDS's own code for MNIST makes unnecessary."""
    data_dir, version = copied_mnist
    (version / "features.json").unlink()
    assert load_split("mnist", "test", str(data_dir)).images.shape == (10000, 28, 28, 1)


def test_records_cut_at_a_boundary_are_noticed(copied_mnist):
    """Cuts between records of (length, checksum, data, checksum), so that the rest can be read."""
    data_dir, version = copied_mnist
    (path,) = version.glob("*-test.tfrecord*")
    data = path.read_bytes()
    end = 0
    for _ in range(100):
        end += 16 + int.from_bytes(data[end : end + 8], "little")
    path.write_bytes(data[:end])
    with pytest.raises(DatasetError, match="damaged"):
        load_split("mnist", "test", str(data_dir))


def test_reading_prints_nothing(mnist_data_dir):
    call = f"datasets.load_split('mnist', 'test[:100]', {str(mnist_data_dir)!r})"
    script = f"from lambdapress.tasks import datasets; {call}"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    # TensorFlow's own import warns, through google.api_core; the command line silences that.
    command = [sys.executable, "-W", "ignore::FutureWarning", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_only_a_failure_is_tried_again(tmp_path, mnist_data_dir, no_network):
    data_dir = tmp_path / "data"
    with pytest.raises(DatasetError):
        load_split("mnist", "test[:5]", str(data_dir))
    data_dir.mkdir(exist_ok=True)
    (data_dir / "mnist").symlink_to(mnist_data_dir / "mnist")
    assert len(datasets.load_split("mnist", "test[:5]", str(data_dir)).labels) == 5
