"""Compression algorithms, one file each. Importing this registers them all."""

from . import epr as epr
from . import half as half
from . import lossless as lossless
from . import none as none
from . import power_law as power_law
from . import uniform as uniform
