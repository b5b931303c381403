"""How many test images a trial's exported files classify differently from its model.

    python tests/benchmarks/same_classes.py RUN/TRIAL [RUN/TRIAL ...]

For trials of tasks with images in memory: digits, MNIST and CIFAR-10.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from lambdapress.sweeps import exports
from lambdapress.sweeps.runtime import open_exported

BATCH = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("trials", nargs="+", metavar="RUN/TRIAL")
    for trial in parser.parse_args().trials:
        with exports.trial_model(trial) as (task, model), tempfile.TemporaryDirectory() as folder:
            images = task.load("test").images.astype(np.float32) / task.max_value
            starts = range(0, len(images), BATCH)
            expected = np.concatenate([np.argmax(model(images[i : i + BATCH]), -1) for i in starts])
            for form in exports.FORMATS:
                path = Path(folder) / form.file_name
                form.write(model, path)
                predict, (name, *_) = open_exported(path)
                outputs = [predict({name: images[i : i + BATCH]})["output"] for i in starts]
                differ = int(np.sum(np.argmax(np.concatenate(outputs), -1) != expected))
                sizes = f"{exports.size_of(path):>11,} bytes {exports.zipped_size(path):>9,} zipped"
                print(f"{task.name} {form!s:28}{sizes}  {differ} of {len(images):,} differ", flush=True)


if __name__ == "__main__":
    main()
