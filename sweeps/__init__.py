"""Plans and runs sweeps, collects their results, and provides the command line.

    from lambdapress.sweeps import load_results, run_sweep

`__init__.pyi` lists the public names; each is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
