"""Tests experiments of Official Models that average their weights, on a small one with its real trainer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from official.core import base_task, config_definitions, exp_factory
from official.modeling import optimization
from official.modeling.hyperparams import base_config

from lambdapress.framework import Updates, algorithms, set_seeds, to_compressible
from lambdapress.framework.surgery.computed_weights import computed_weights_of
from lambdapress.framework.training import checkpoint
from lambdapress.tasks.official import OfficialTask

k = tf.keras.layers
NAME = "lambdapress_averages"
_RANDOM = np.random.default_rng(0)
X = _RANDOM.normal(size=(256, 16)).astype(np.float32)
Y = (X @ _RANDOM.normal(size=(16, 8))).argmax(-1)


@dataclasses.dataclass
class SmallConfig(config_definitions.TaskConfig):
    pass


@base_config.bind(SmallConfig)
class Small(base_task.Task):
    def build_model(self):
        layers = [tf.keras.Input((16,)), k.Dense(32), k.BatchNormalization(), k.ReLU(), k.Dense(8)]
        return tf.keras.Sequential(layers)

    def build_inputs(self, params, input_context=None):
        return tf.data.Dataset.from_tensor_slices((X, Y)).repeat().batch(32)

    def build_losses(self, labels, model_outputs, aux_losses=None):
        losses = tf.keras.losses.sparse_categorical_crossentropy(labels, model_outputs, from_logits=True)
        return tf.reduce_mean(losses) + tf.add_n(aux_losses or [0.0])

    def build_metrics(self, training=True):
        return [tf.keras.metrics.SparseCategoricalAccuracy(name="accuracy")]


def small_experiment() -> config_definitions.ExperimentConfig:
    optimizer = {
        "optimizer": {"type": "sgd"},
        "ema": {"average_decay": 0.9, "trainable_weights_only": False},  # as resnet_rs_imagenet has it
        "learning_rate": {"type": "constant", "constant": {"learning_rate": 0.2}},
    }
    trainer = config_definitions.TrainerConfig(
        train_steps=60,
        steps_per_loop=10,
        validation_steps=8,
        optimizer_config=optimization.OptimizationConfig(optimizer),
    )
    data = config_definitions.DataConfig()
    task = SmallConfig(train_data=data, validation_data=data)
    return config_definitions.ExperimentConfig(task=task, trainer=trainer)


@pytest.fixture(scope="module", autouse=True)
def registered():
    exp_factory.register_config_factory(NAME)(small_experiment)
    yield
    del exp_factory._REGISTERED_CONFIGS[NAME]


def trained(algorithm: str, callbacks=(), **parameters):
    set_seeds(0)
    task = OfficialTask(NAME, metric_name="accuracy")
    model = to_compressible(task.build_model(), algorithms.build(algorithm, **parameters), 0.02)
    task.train(model, [Updates(), *callbacks])
    return task, model


def effective(model) -> list[np.ndarray]:
    return [w.algorithm.project(w.tensors(), w.spec).numpy() for w in computed_weights_of(model)]


@pytest.fixture(scope="module")
def averages():
    """Returns the accuracy and the weights of the same training without compression: its averages."""
    task, model = trained("none")
    return task.evaluate(model).values["accuracy"], effective(model)


@pytest.mark.parametrize(
    "algorithm, parameters, most",
    [
        ("uniform", {}, 0.06),
        ("clustering", {}, 0.06),
        ("pruning", {"begin": 1.0, "end": 1.0}, 0.15),
        ("chain", {"algorithms": [["pruning", {"begin": 1.0, "end": 1.0}], "uniform"]}, 0.15),
    ],
)
def test_what_is_stored_is_near_the_averages(averages, algorithm, parameters, most):
    accuracy, wanted = averages
    task, model = trained(algorithm, **parameters)
    for stored, average in zip(effective(model), wanted, strict=True):
        if stored.ndim > 1:
            assert np.linalg.norm(stored - average) < most * np.linalg.norm(average)
    assert task.evaluate(model).values["accuracy"] > accuracy - 0.05
    assert float(model.lmbda) == np.float32(0.02)


@pytest.mark.parametrize("algorithm", ["pruning", "low_rank", "clustering", "epr"])
def test_what_algorithms_count_and_mask_is_not_averaged(algorithm):
    _, model = trained(algorithm)
    for weight in computed_weights_of(model):
        for name, tensor in weight.tensors().items():
            if not tensor.dtype.is_floating:
                assert average_is_missing(model, weight.variables()[name]), name


def average_is_missing(model, variable) -> bool:
    with pytest.raises(KeyError):
        model.optimizer.get_slot(variable, "average")
    return True


def test_the_averages_are_in_the_checkpoint(averages, tmp_path, monkeypatch):
    """A training that goes on has the averages it had; its data begins anew, as here each epoch's does."""
    monkeypatch.setattr(checkpoint, "SHARE", float("inf"))

    class Killed(tf.keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 4:
                raise InterruptedError

    set_seeds(0)
    task = OfficialTask(NAME, metric_name="accuracy")
    models = [to_compressible(task.build_model(), algorithms.build("clustering"), 0.02) for _ in range(2)]
    with pytest.raises(InterruptedError):
        task.train(models[0], [Updates(), Killed()], tmp_path)
    task.train(models[1], [Updates()], tmp_path)
    assert task.evaluate(models[1]).values["accuracy"] > averages[0] - 0.05
