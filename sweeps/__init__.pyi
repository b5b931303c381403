# The public face: each name once, imported when it is first used.

from .deployment.benchmark import benchmark as benchmark
from .deployment.trial_model import trial_model as trial_model
from .execution.executor import Executor as Executor
from .execution.executor import executors as executors
from .execution.job import ExecutionError as ExecutionError
from .execution.sweep import run_sweep as run_sweep
from .plan.grid import Sweep as Sweep
from .results.frames import load_results as load_results
