"""Counts the test images that a trial's exported files classify differently from its model.

    python tests/benchmarks/same_classes.py RUN/TRIAL [RUN/TRIAL ...]

For trials of tasks with images in memory: digits, MNIST and CIFAR-10.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from lambdapress.framework.export.formats import all_measured, open_exported
from lambdapress.sweeps.deployment.trial_model import size_of, trial_model, zipped_size

BATCH = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("trials", nargs="+", metavar="RUN/TRIAL")
    for trial in parser.parse_args().trials:
        with trial_model(trial) as (task, model), tempfile.TemporaryDirectory() as folder:
            images = task.load("test").images.astype(np.float32) / task.max_value
            starts = range(0, len(images), BATCH)
            expected = np.concatenate([np.argmax(model(images[i : i + BATCH]), -1) for i in starts])
            for form in all_measured():
                path = Path(folder) / form.file_name
                form.write(model, path)
                predict, (name, *_) = open_exported(path)
                outputs = [predict({name: images[i : i + BATCH]})["output"] for i in starts]
                differ = int(np.sum(np.argmax(np.concatenate(outputs), -1) != expected))
                sizes = f"{size_of(path):>11,} bytes {zipped_size(path):>9,} zipped"
                print(f"{task.name} {form!s:28}{sizes}  {differ} of {len(images):,} differ", flush=True)


if __name__ == "__main__":
    main()
