"""TensorFlow without its start-up noise. Real errors still come through."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator


def quiet() -> None:
    """Call before TensorFlow is imported; what the user has set for its log level stays.

    Silences the C++ log, absl and Keras below ERROR, and google.api_core's warning about old Pythons.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.api_core.*")
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextlib.contextmanager
def dropped_stderr() -> Iterator[None]:
    """Drops what native code writes to the process's standard error; Python's own exceptions come through."""
    with open(os.devnull, "w") as nowhere:
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
