"""Provides what every algorithm, task and sweep shares.

    from lambdapress.framework import algorithms, load, save, size_report, to_compressible, to_plain

`__init__.pyi` lists the public names; each is imported when it is first used.
"""

import warnings

import lazy_loader

# Official Models and TensorFlow Datasets import google.api_core, which warns about the Python versions that
# it will drop. Our users need not see that.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.api_core.*")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
