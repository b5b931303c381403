# The public face: each name once, imported when it is first used.

from .deployment.benchmark import benchmark as benchmark
from .deployment.trial_model import size_of as size_of
from .deployment.trial_model import trial_model as trial_model
from .deployment.trial_model import zipped_size as zipped_size
from .environment import quiet as quiet
from .execution.executor import Executor as Executor
from .execution.executor import executors as executors
from .execution.job import ExecutionError as ExecutionError
from .execution.sweep import run_sweep as run_sweep
from .page.figures import figure as figure
from .page.write import write_report as write_report
from .plan.definition import Sweep as Sweep
from .report.plot import draw as draw
from .report.shown import load_results as load_results
from .report.tables import render as render
from .results.summary import summarise as summarise
from .statistics.pareto import hypervolume as hypervolume
