"""Defines a task for the executor's tests: the real digits for one epoch, which breaks down on demand."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import signal
import sys
import time
from pathlib import Path

import tensorflow as tf

from lambdapress.framework.task import tasks
from lambdapress.tasks.datasets import DatasetError
from lambdapress.tasks.digits import Digits


def damage_the_heap() -> None:
    inside = ctypes.addressof(ctypes.create_string_buffer(64)) + 8
    ctypes.CDLL(None).free(ctypes.c_void_p(inside))


@tasks.register("fragile")
@dataclasses.dataclass(frozen=True)
class Fragile(Digits):
    """Digits that fail on demand.

    Attributes:
      fault: what happens in training: `killed`, `killed once`, `native` (the C library finds its heap
        damaged), `exit`, `sys.exit`, `raise`, `nan`, `no data`, `hangs` (it sleeps for ever), `hungry` (it
        takes all memory), `talks` (it prints 20 MB), `devices` (it logs the GPUs it sees), or nothing.
        `native evaluation` breaks down later. With `wobbly`, the model has layers that are random or have
        weights that are not trained.
      log: a file that gets a line whenever training starts.
      seconds: extra time that training takes.
    """

    epochs: int = 1
    steps_per_execution: int = 1
    fault: str = ""
    log: str = ""
    seconds: float = 0.0

    def build_model(self) -> tf.keras.Model:
        layers = tf.keras.layers
        wobbly = [layers.Dropout(0.3), layers.BatchNormalization()] if self.fault == "wobbly" else []
        return tf.keras.Sequential(
            [
                layers.InputLayer((8, 8, 1)),
                layers.Flatten(),
                layers.Dense(16, activation="relu"),
                *wobbly,
                layers.Dense(10),
            ]
        )

    def evaluate(self, model, split="test"):
        if self.fault == "native evaluation":
            damage_the_heap()
        return super().evaluate(model, split)

    def train(self, model, callbacks=(), checkpoint_dir=None):
        starts = 0
        line = f"{self.fault}\n"
        if self.log:
            path = Path(self.log)
            starts = path.read_text().count(line) if path.exists() else 0
            with path.open("a") as file:
                file.write(line)
        time.sleep(self.seconds)
        if self.fault == "killed" or (self.fault == "killed once" and starts == 0):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "native":
            damage_the_heap()
        if self.fault == "sys.exit":
            sys.exit(0)
        if self.fault == "exit":
            os._exit(7)
        if self.fault == "devices":
            with Path(self.log).open("a") as file:
                file.write(f"GPUs {os.environ.get('CUDA_VISIBLE_DEVICES')}\n")
        if self.fault == "hangs":
            time.sleep(10_000)
        if self.fault == "hungry":
            eaten = []
            while True:
                eaten.append(bytearray(b"x") * 100_000_000)
                time.sleep(0.1)
        if self.fault == "talks":
            print("from Python")
            for _ in range(20):
                os.write(1, b"from native code\n" * 60_000)
            print("and the end")
        if self.fault == "raise":
            raise ZeroDivisionError("as told")
        if self.fault == "no data":
            raise DatasetError("There is no data, as told.")
        if self.fault == "nan":
            model.layers[-1].set_weights([w * float("nan") for w in model.layers[-1].get_weights()])
        super().train(model, callbacks, checkpoint_dir)
