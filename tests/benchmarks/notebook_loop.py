"""Compares a λ sweep in the notebook "Scalable model compression" with `lambdapress sweep`, in one run.

    python tests/benchmarks/notebook_loop.py [--lmbdas 2 5 10 20 50] [--epochs 5] [--workers 2] [--gin …]

The notebook's experiment is one process that trains the λ one after the other. It has layers that quantise
their own weights, TFC's power-law model for penalty and code, a pipeline that maps one example at a time, and
validation after each epoch. It is written again here in that form, with two changes in its favour: the dense
layer is a matrix product instead of a batched matrix-vector product, and nothing is saved to disk.

Ours starts every λ from one plain network (`CHEAP`); `--gin` takes other bindings in place of those. Prints
seconds of wall time for both, their ratio, size and accuracy for each λ, and the hypervolumes of models above
90% below 5,024,320 bytes of float weights. Needs MNIST.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore", category=FutureWarning)

import tensorflow as tf
import tensorflow_compression as tfc
import tensorflow_datasets as tfds

from lambdapress.sweeps import hypervolume, load_results, run_sweep

LOG_STEP = -4.0
FLOAT_BYTES, USEFUL = 5_024_320, 0.9
CHEAP = [
    "sweep.start = 'baseline'",
    "sweep.start_epochs = 1",
    "mnist_classifier.epochs = 1",
    "mnist_classifier.learning_rate = 2e-3",
    "mnist_classifier.final_learning_rate_factor = 0.01",
    "power_law.log_step = -2.5",
    "power_law.log_step_multiplier = 10.0",
]


class Quantised(tf.keras.layers.Layer):
    """A layer with a kernel and a bias under the power-law penalty, straight-through rounding."""

    def __init__(self, weight: float, shape: tuple[int, ...], **kwargs):
        super().__init__(**kwargs)
        self.weight, self.shape = weight, shape

    def build(self, input_shape):
        kernel = tf.keras.initializers.GlorotUniform()(
            (*self.shape[:-1], int(input_shape[-1]), self.shape[-1])
        )
        kernel = self.analyse(kernel)
        self.kernel_latent = tf.Variable(kernel, name="kernel")
        self.bias_latent = tf.Variable(tf.zeros(self.shape[-1:]), name="bias")
        self.kernel_log_step = tf.Variable(tf.fill(self.step_shape(kernel), LOG_STEP), name="kernel_log_step")
        self.bias_log_step = tf.Variable(LOG_STEP, name="bias_log_step")
        self.add_loss(lambda: self.penalty(self.kernel_latent, self.kernel_log_step))
        self.add_loss(lambda: self.penalty(self.bias_latent, self.bias_log_step))

    def analyse(self, kernel):
        return kernel

    def synthesise(self, kernel):
        return kernel

    def step_shape(self, kernel):
        return ()

    def penalty(self, latent, log_step):
        model = tfc.PowerLawEntropyModel(coding_rank=latent.shape.rank)
        return self.weight * model.penalty(latent / tf.exp(log_step))

    def kernel(self):
        step = tf.exp(self.kernel_log_step)
        return self.synthesise(tfc.round_st(self.kernel_latent / step) * step)

    def bias(self):
        step = tf.exp(self.bias_log_step)
        return tfc.round_st(self.bias_latent / step) * step

    def num_bytes(self) -> int:
        total = 0
        for latent, log_step in (
            (self.kernel_latent, self.kernel_log_step),
            (self.bias_latent, self.bias_log_step),
        ):
            model = tfc.PowerLawEntropyModel(coding_rank=latent.shape.rank)
            total += len(model.compress(latent / tf.exp(log_step)).numpy()) + 2 * int(tf.size(log_step))
        return total


class QuantisedDense(Quantised):
    def call(self, inputs):
        return tf.nn.leaky_relu(tf.matmul(inputs, self.kernel()) + self.bias())


class QuantisedConv(Quantised):
    def analyse(self, kernel):
        spectrum = tf.signal.rfft2d(tf.transpose(kernel, (2, 3, 0, 1)))
        return tf.stack([tf.math.real(spectrum), tf.math.imag(spectrum)], axis=-1) / self.shape[0]

    def synthesise(self, kernel):
        spectrum = tf.dtypes.complex(*tf.unstack(kernel * self.shape[0], axis=-1))
        return tf.transpose(tf.signal.irfft2d(spectrum, fft_length=self.shape[:2]), (2, 3, 0, 1))

    def step_shape(self, kernel):
        return kernel.shape[2:]

    def call(self, inputs):
        outputs = tf.nn.convolution(inputs, self.kernel(), strides=2, padding="SAME")
        return tf.nn.leaky_relu(outputs + self.bias())


def notebook_trial(lmbda: float, epochs: int) -> tuple[int, float]:
    """Returns the bytes of codes and half-precision steps, and the top-1 accuracy, for one λ."""
    weight = lmbda / 1_256_080
    model = tf.keras.Sequential(
        [
            QuantisedConv(weight, (5, 5, 20)),
            QuantisedConv(weight, (5, 5, 50)),
            tf.keras.layers.Flatten(),
            QuantisedDense(weight, (500,)),
            QuantisedDense(weight, (10,)),
        ]
    )
    train, test = tfds.load("mnist", split=["train", "test"], shuffle_files=True, as_supervised=True)
    train, test = (
        data.map(lambda image, label: (tf.cast(image, tf.float32) / 255.0, label)) for data in (train, test)
    )
    model.compile(
        tf.keras.optimizers.Adam(1e-3),
        tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        [tf.keras.metrics.SparseCategoricalAccuracy()],
    )
    test = test.batch(128).cache()
    log = model.fit(train.batch(128).prefetch(8), validation_data=test, epochs=epochs, verbose=0)
    accuracy = log.history["val_sparse_categorical_accuracy"][-1]
    return sum(layer.num_bytes() for layer in model.layers if isinstance(layer, Quantised)), accuracy


def show(who: str, seconds: float, points: list[tuple[float, int, float]]) -> None:
    """Prints the seconds of wall time (processes' start included), each point, and the hypervolume."""
    print(f"{who}: {seconds:.0f} s")
    for lmbda, size, accuracy in points:
        print(f"  λ={lmbda:g}: {size:,.0f} bytes, {accuracy:.2%}")
    _, sizes, accuracies = zip(*points, strict=True)
    print(f"  hypervolume: {hypervolume(sizes, accuracies, FLOAT_BYTES, USEFUL):.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--lmbdas", type=float, nargs="+", default=[2.0, 5.0, 10.0, 20.0, 50.0])
    parser.add_argument("--epochs", type=int, default=5, help="of the notebook's loop [default: 5]")
    parser.add_argument("--gin", action="append", help="for our sweep, in place of CHEAP; may be repeated")
    parser.add_argument("--ours-only", action="store_true", help="leaves the notebook's loop out")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as out:
        bindings = [
            "sweep.algorithms = ['none', 'power_law']",
            f"sweep.lmbdas = {arguments.lmbdas}",
            *(arguments.gin or CHEAP),
        ]
        start = time.perf_counter()
        run_sweep("sweeps/mnist_notebook.gin", out, workers=arguments.workers, gin=bindings)
        ours = time.perf_counter() - start
        rows = load_results(out).query("algorithm != 'none'").sort_values("lmbda")
        points = list(zip(rows["lmbda"], rows["size_bytes"], rows["metric"], strict=True))
    show(f"lambdapress, {arguments.workers} workers", ours, points)
    if arguments.ours_only:
        return
    start = time.perf_counter()
    points = [(lmbda, *notebook_trial(lmbda, arguments.epochs)) for lmbda in arguments.lmbdas]
    theirs = time.perf_counter() - start
    show("the notebook's loop", theirs, points)
    print(f"wall time, ours to the notebook's: {ours / theirs:.2f}, or {theirs / ours:.1f} times less")


if __name__ == "__main__":
    main()
