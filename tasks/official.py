"""Runs any registered experiment of TensorFlow Official Models as a task, with its model unedited."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import math
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import tensorflow as tf

from ..framework.forms.whole_training import whole_training
from ..framework.task import TEST, VALIDATION, Evaluation, Metric, Task, tasks
from ..framework.training.checkpoint import Checkpoint, create_slots
from .official_averages import averaged
from .official_config import ExperimentError, experiment_config, nested
from .official_metrics import described, numbers
from .official_rate import with_rate

# Seconds of training between two reports of progress.
_REPORT_SECONDS = 1.0


@tasks.register("official")
@dataclasses.dataclass(frozen=True)
class OfficialTask(Task):
    """Any experiment of TensorFlow Official Models; `lambdapress list --official` lists them.

    Uses the experiment's own data, model, optimizer, schedule and metrics, as its config and overrides say.
    The rate is added to the loss where the experiment's task does not add `model.losses` itself.

    Attributes:
      experiment: name of the experiment, such as `bert/sentence_prediction`.
      overrides: changes of its config, strictly checked, nested or with dots:
        `{"trainer.train_steps": 1000, "task.train_data.input_path": "train.tfrecord"}`.
        `task.init_checkpoint` is loaded as the experiment would, before the model is compressed.
      metric_name: the metric that counts, by its name in Official Models. None takes
        `trainer.best_checkpoint_eval_metric`, else the first named like an accuracy, IoU or F1. Losses,
        errors and perplexities are better when lower; of others `trainer.best_checkpoint_metric_comp` says
        it.
      data_dir: folder of prepared TensorFlow Datasets, for experiments that read them; None takes
        `TFDS_DATA_DIR`, else TFDS's default.

    Class attributes:
      evaluated_on: the split that the experiment's validation data is; empty where its config tells.
      base: changes that a subclass makes to its experiment's config, before the overrides.
      deterministic: False by default. Under deterministic operations TensorFlow refuses or cannot rewrite the
        augmentation of several experiments (video, detection), and reads the others' data in one thread.

    Training differs from Official Models' own loop in four points. One device is the default where there is
    one GPU or none (`runtime.distribution_strategy`). There is no bound on the loss, since a rate in bits
    exceeds it; a loss that is not finite ends the trial. Nothing is evaluated before the end. FLOPs are not
    counted.
    """

    evaluated_on: ClassVar[str] = ""
    base: ClassVar[Mapping[str, Any]] = {}
    deterministic: ClassVar[bool] = False

    experiment: str = ""
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    metric_name: str | None = None
    data_dir: str | None = None

    def __post_init__(self) -> None:
        if not self.experiment:
            raise ExperimentError(
                "official.experiment is not set; bind one, such as "
                "official.experiment = 'bert/sentence_prediction'. `lambdapress list --official` lists them."
            )
        self.config()

    @functools.cached_property  # an experiment's config takes time to build
    def metrics(self) -> Sequence[Metric]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The metric that counts; `evaluate` returns all that the experiment has."""
        config = self.config()
        return (described(self._main_metric(config), config.trainer.best_checkpoint_metric_comp or None),)

    def metric(self, name: str) -> Metric:
        """Describes a metric by its name, which is all that Official Models says of it."""
        main = self.metrics[0]
        return main if name == main.name else described(name)

    @property
    def splits(self) -> Sequence[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The experiment's `validation_data`, its only data to evaluate on: `test` if that is its split."""
        return (self.evaluated_on or _split_of(self.config().task.validation_data),)

    def _main_metric(self, config: Any) -> str:
        wanted = self.metric_name or config.trainer.best_checkpoint_eval_metric
        if wanted:
            return wanted
        with self._task(config) as task:
            names = [metric.name for metric in task.build_metrics(training=False)]
        for name in names:
            if any(word in name.lower() for word in ("accuracy", "iou", "f1")):
                return name
        raise ExperimentError(
            f"official.metric_name is not set, and {self.experiment} does not say which of its metrics "
            f"counts ({', '.join(names) or 'it computes them at the end of an evaluation'})."
        )

    def config(self) -> Any:
        """Returns the experiment's `ExperimentConfig`, overrides applied, locked.

        Raises:
          ExperimentError: for an unknown experiment or a key or value that does not fit its config.
        """
        config = experiment_config(self.experiment, self.base, self.overrides)
        if "distribution_strategy" not in nested(self.overrides).get("runtime", {}):
            gpus = len(tf.config.list_physical_devices("GPU"))
            config.runtime.distribution_strategy = "mirrored" if gpus > 1 else "one_device"
            config.runtime.num_gpus = gpus
        if self.data_dir:
            for data in (config.task.train_data, config.task.validation_data):
                if getattr(data, "tfds_name", None):
                    data.tfds_data_dir = self.data_dir
        config.lock()
        return config

    def prepare(self, config: Any) -> None:
        """Prepares a subclass's own data; called with the config before data is read."""

    def build_model(self) -> tf.keras.Model:
        """Builds the experiment's model under its strategy, with the values of its `init_checkpoint`.

        If a strategy's scope has been entered, the model is built under that one.

        Raises:
          ExperimentError: where it is not known which metric counts.
        """
        config = self.config()
        self._main_metric(config)  # raises before anything is trained
        with self._scope(config), _mixed_precision(config), self._task(config) as task:
            model = task.build_model()
            if not model.built:
                self.prepare(config)
                task.inference_step(_features(task, config), model)
            task.initialize(model)
        return model

    def train(
        self,
        model: tf.keras.Model,
        callbacks: Sequence[tf.keras.callbacks.Callback] = (),
        checkpoint_dir: Path | None = None,
    ) -> None:
        """Trains by the experiment's own training step, `trainer.train_steps` times.

        For callbacks, an epoch is `trainer.steps_per_loop` steps. Training that goes on from a checkpoint has
        its weights, optimizer and step; the data begins again, in another order.

        Raises:
          CheckpointError: see `Task.train`.
          ExperimentError: where `trainer.train_steps` is not set.
          RateError: at the first step, where the rate cannot reach the loss.
        """
        from official.core import base_trainer, train_utils

        config = self.config()
        steps = config.trainer.train_steps
        if steps < 1:
            raise ExperimentError(
                f"{self.experiment} leaves trainer.train_steps at {steps}; set "
                "official.overrides = {'trainer.train_steps': ...}."
            )
        self.prepare(config)
        per_epoch = max(1, min(config.trainer.steps_per_loop, steps))
        with model.distribute_strategy.scope(), self._task(config) as task:
            task = with_rate(task, model)
            optimizer = train_utils.create_optimizer(task, config)
            # Slots that are made in the training step would have it traced twice.
            create_slots(optimizer, model.trainable_variables)
            if hasattr(optimizer, "shadow_copy"):  # it averages; the trainer would give it all variables
                optimizer.shadow_copy(averaged(model))
            trainer = base_trainer.Trainer(config, task, model, optimizer, train=True, evaluate=False)
            model.optimizer = optimizer  # as `compile` does: callbacks look there
            callbacks, done = list(callbacks), 0
            if checkpoint_dir is not None:
                checkpoint = Checkpoint(model, checkpoint_dir)
                done = min(steps, per_epoch * checkpoint.restore())
                trainer.global_step.assign(done)
                callbacks.append(checkpoint)
            watch = tf.keras.callbacks.CallbackList(
                callbacks,
                model=model,
                add_history=False,
                epochs=math.ceil(steps / per_epoch),
                steps=per_epoch,
                verbose=0,
            )
            with whole_training(model):
                _loop(trainer, task, watch, done, steps, per_epoch)
                if hasattr(optimizer, "swap_weights"):  # the averages are evaluated and stored
                    optimizer.swap_weights()

    def evaluate(self, model: tf.keras.Model, split: str | None = None) -> Evaluation:
        """Measures the experiment's metrics over `trainer.validation_steps` batches of its validation data.

        -1 steps: all of it. `split` can only be the one of `splits`, which this data is.
        """
        from official.core import base_trainer

        if split not in (None, *self.splits):
            raise ValueError(f"{self.experiment} has no {split} data to evaluate on, only {self.splits[0]}.")
        config = self.config()
        self.prepare(config)
        with model.distribute_strategy.scope(), self._task(config) as task:
            trainer = base_trainer.Trainer(
                config,
                task,
                model,
                tf.keras.optimizers.SGD(),  # the trainer needs one; it is not used
                train=False,
                evaluate=True,
            )
            with contextlib.redirect_stdout(io.StringIO()):  # COCO's evaluation prints
                logs: Any = trainer.evaluate(tf.constant(config.trainer.validation_steps))
        metric = self._main_metric(config)
        if metric not in logs:
            raise ExperimentError(
                f"official.metric_name is {metric!r}, which {self.experiment} does not evaluate; it has "
                f"{', '.join(sorted(logs))}."
            )
        return Evaluation(numbers(logs))

    @contextlib.contextmanager
    def _task(self, config: Any) -> Iterator[Any]:
        """Yields a new task of Official Models, with a folder for files that some write to evaluate."""
        from official.core import task_factory

        with tempfile.TemporaryDirectory(prefix="lambdapress-") as folder:
            with warnings.catch_warnings():
                # Some models leave parts of their input, such as labels, to the task.
                warnings.filterwarnings("ignore", "Input dict contained keys")
                yield task_factory.get_task(config.task, logging_dir=folder)

    def _scope(self, config: Any) -> contextlib.AbstractContextManager[Any]:
        from official.common import distribute_utils

        runtime = config.runtime
        if tf.distribute.has_strategy():
            return contextlib.nullcontext()
        strategy = distribute_utils.get_distribution_strategy(
            distribution_strategy=runtime.distribution_strategy,
            all_reduce_alg=runtime.all_reduce_alg,
            num_gpus=runtime.num_gpus,
            tpu_address=runtime.tpu,
        )
        return strategy.scope() if strategy else contextlib.nullcontext()


def _loop(trainer: Any, task: Any, watch: Any, done: int, steps: int, per_epoch: int) -> None:
    """Trains from step `done` to `steps`, a second's worth at a time, and tells the callbacks."""
    watch.on_train_begin()
    count, logs = 1, {}
    while done < steps:
        within = done % per_epoch
        if within == 0:
            watch.on_epoch_begin(done // per_epoch)
        count = min(count, per_epoch - within, steps - done)
        watch.on_train_batch_begin(within)
        started = time.perf_counter()
        logs = _logs(trainer.train(tf.constant(count)), task)
        done += count
        watch.on_train_batch_end((done - 1) % per_epoch, logs)
        if done % per_epoch == 0 or done == steps:
            watch.on_epoch_end((done - 1) // per_epoch, logs)
        seconds = time.perf_counter() - started
        count = max(1, min(2 * count, int(count * _REPORT_SECONDS / max(seconds, 1e-3))))
    watch.on_train_end(logs)


def _logs(output: Mapping[str, Any], task: Any) -> dict[str, float]:
    """Returns the trainer's logs under Keras's names; the task's own loss and the rate's share are apart."""
    logs = {name: float(value) for name, value in output.items()}
    loss = logs.pop("training_loss")
    rate = float(task.rate_loss.result())
    task.rate_loss.reset_state()
    return {"loss": loss, "task_loss": loss - rate, "rate_loss": rate, **logs}


def _split_of(data: Any) -> str:
    """Tells what an experiment's validation data is: TFDS's or files' test split, else for validation."""
    named = getattr(data, "tfds_split", "") or Path(str(getattr(data, "input_path", ""))).name
    return TEST if str(named).startswith("test") else VALIDATION


def _features(task: Any, config: Any) -> Any:
    """Returns the inputs of one training batch, as the model takes them."""
    inputs = next(iter(task.build_inputs(config.task.train_data)))
    return inputs[0] if isinstance(inputs, tuple) and len(inputs) == 2 else inputs


@contextlib.contextmanager
def _mixed_precision(config: Any) -> Iterator[None]:
    """Sets the experiment's precision while its model is built: layers remember it, others are unaffected."""
    from official.modeling import performance

    before = tf.keras.mixed_precision.global_policy()
    if config.runtime.mixed_precision_dtype:
        performance.set_mixed_precision_policy(config.runtime.mixed_precision_dtype)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)
