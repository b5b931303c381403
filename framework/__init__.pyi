# The public face: each name once, imported when it is first used. The command line reaches this room long
# before it needs TensorFlow.

from .algorithm import Algorithm as Algorithm
from .algorithm import WeightSpec as WeightSpec
from .algorithm import algorithms as algorithms
from .algorithm_checks import AlgorithmError as AlgorithmError
from .container.header import ContainerError as ContainerError
from .errors import LambdapressError as LambdapressError
from .export.batch_norm import fold_batch_norm as fold_batch_norm
from .export.formats import ExportFormat as ExportFormat
from .export.formats import FormatError as FormatError
from .export.formats import formats as formats
from .export.formats import open_exported as open_exported
from .export.prediction import ExportError as ExportError
from .export.saved_model import export_saved_model as export_saved_model
from .export.saved_model_reader import load_exported as load_exported
from .export.tflite import export_tflite as export_tflite
from .files.lpz import load as load
from .files.lpz import save as save
from .files.size_report import SizeReport as SizeReport
from .files.size_report import size_report as size_report
from .forms.compress import to_compressed as to_compressed
from .forms.compress import to_compressible as to_compressible
from .forms.plain import FormError as FormError
from .forms.plain import form_of as form_of
from .forms.plain import to_plain as to_plain
from .forms.rules import RuleError as RuleError
from .forms.types import Compressed as Compressed
from .forms.types import Compressible as Compressible
from .forms.untold import CompressionWarning as CompressionWarning
from .forms.whole_training import whole_training as whole_training
from .surgery.clone import CloneError as CloneError
from .task import Task as Task
from .task import tasks as tasks
from .training.callbacks import LmbdaWarmup as LmbdaWarmup
from .training.callbacks import Updates as Updates
from .training.callbacks import set_seeds as set_seeds
