"""TensorFlow without its start-up noise. Real errors still come through."""

from __future__ import annotations

import logging
import os
import warnings


def quiet() -> None:
    """Call before TensorFlow is imported; what the user has set for its log level stays.

    Silences the C++ log, absl and Keras below ERROR, and google.api_core's warning about old Pythons.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.api_core.*")
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
