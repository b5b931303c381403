"""Registers all compression algorithms, one file each, when it is imported."""

from . import chain as chain
from . import clustering as clustering
from . import epr as epr
from . import half as half
from . import lossless as lossless
from . import low_rank as low_rank
from . import none as none
from . import power_law as power_law
from . import pruning as pruning
from . import uniform as uniform
from . import west as west
