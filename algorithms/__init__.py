"""Compression algorithms, one file each. Importing this registers them all."""

from . import epr as epr
from . import none as none
from . import power_law as power_law
