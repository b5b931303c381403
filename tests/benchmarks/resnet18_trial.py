"""Runs a trial of `resnet18` on generated images in about a minute, to measure exports with.

    python tests/benchmarks/resnet18_trial.py --out runs/resnet18
    lambdapress benchmark runs/resnet18/TRIAL --fold-batch-norm --no-metric

There is no ImageNet here, so the weights are those of an initialised network, with steps so wide that about
one in eight is not zero, as in a compressed network. Latency and memory are then realistic; the metric is
not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))
from official_experiments import imagenet_records  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", default="runs/resnet18")
    parser.add_argument("--log-step", type=float, default=-2.8)
    parser.add_argument("--image", type=int, default=224)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())  # it stays, since the trial's config names it
    overrides = {**imagenet_records(folder), "task.model.input_size": [arguments.image, arguments.image, 3]}
    command = [sys.executable, "-c", "from lambdapress.sweeps.cli.main import main; main()", "train"]
    command += ["--task", "resnet18", "--algorithm", "power_law", "--lmbda", "0", "--out", arguments.out]
    command += ["--gin", f"power_law.log_step = {arguments.log_step}"]
    command += ["--gin", f"resnet18.overrides = {overrides!r}"]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
