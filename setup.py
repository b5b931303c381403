"""Describes the package lambdapress, and maps its import names to the folders at the root.

`framework/` is imported as `lambdapress.framework`, and so on; `lambdapress` itself is an implicit
namespace. So a user's own `tasks.py` can never be mistaken for ours.
"""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
ROOMS = ("framework", "algorithms", "tasks", "sweeps", "gin_configs")


def packages() -> dict[str, str]:
    """Returns the folder of every package of every room, by import name."""
    folders = {f"lambdapress.{room}": room for room in ROOMS}
    for room in ROOMS:
        for inner in find_packages(str(ROOT / room)):
            folders[f"lambdapress.{room}.{inner}"] = f"{room}/{inner.replace('.', '/')}"
    return folders


def description() -> str:
    readme = ROOT / "README.md"
    return readme.read_text(encoding="utf-8") if readme.exists() else ""


setup(
    name="lambdapress",
    version="0.1.0",
    description="Rate-accuracy sweeps of weight-compression algorithms for Keras models",
    long_description=description(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.12",
    packages=sorted(packages()),
    package_dir=packages(),
    package_data={
        "lambdapress.gin_configs": ["**/*.gin", "**/*.csv"],
        "lambdapress.framework": ["__init__.pyi"],  # the public faces are read from these
        "lambdapress.sweeps": ["__init__.pyi"],
        "lambdapress.sweeps.page": ["*.html", "*.css", "*.js"],
    },
    include_package_data=False,
    zip_safe=False,
    install_requires=[
        "tensorflow>=2.14,<2.15",
        "tensorflow-compression==2.14.1",
        "tf-models-official==2.14.2",
        "tensorflow-datasets>=4.9.3",
        "tensorflow-metadata<1.17",  # 1.17 and later break tensorflow-datasets under TF 2.14's protobuf
        "setuptools>=70.1,<81",  # tensorflow-hub, which Official Models imports, needs pkg_resources
        "lazy_loader>=0.4",
        "importlib_resources",  # tensorflow-datasets imports it without declaring it
        "gin-config>=0.5",
        "numpy<2",
        "pandas>=2,<3",
        "pyyaml",
        "matplotlib>=3.7",
        "requests",
        "scikit-learn>=1.3",
        "scipy>=1.10",
        "rich>=13",
        "click>=8.1",
        "filelock>=3.12",
        "ml_dtypes",
        "msgpack>=1.0.5",
        "typeguard>=4",
        "zstandard>=0.22",
    ],
    extras_require={
        "search": ["optuna>=4,<5"],  # sweep.search
        "mlflow": ["mlflow-skinny>=3"],  # lambdapress track --to mlflow
        "wandb": ["wandb>=0.19"],  # lambdapress track --to wandb
        "report": ["plotly>=6,<8"],  # lambdapress report, watch; figures in notebooks
        "dev": [
            "optuna>=4,<5",
            "plotly>=6,<8",
            "playwright>=1.50",  # drives a browser in the tests of reports
            "mlflow-skinny>=3",
            "wandb>=0.19",
            "huggingface_hub>=0.30",  # reads the model cards that are written
            "pytest>=8.3",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            # Second opinions on BD-rates, and on Pareto fronts and hypervolumes.
            "bjontegaard>=1.3",
            "moocore>=0.1.7",
            "nbclient>=0.10",
            "nbformat>=5.10",
            "ipykernel>=6.29",
            "ruff>=0.6",
            "pyright[nodejs]>=1.1.400",
            "pandas-stubs>=2,<3",
            "build>=1.2",
            # To build packages that have no wheel without fetching anything that the lock file does not name.
            "setuptools-scm>=8",
            "wheel",
        ],
    },
    entry_points={
        "console_scripts": ["lambdapress = lambdapress.sweeps.cli.main:main"],
        "lambdapress.algorithms": ["builtin = lambdapress.algorithms"],
        "lambdapress.tasks": ["builtin = lambdapress.tasks"],
        "lambdapress.executors": [
            "here = lambdapress.sweeps.execution.here",
            "processes = lambdapress.sweeps.execution.processes",
        ],
        "lambdapress.export_formats": [
            "savedmodel = lambdapress.framework.export.saved_model",
            "tflite = lambdapress.framework.export.tflite",
        ],
    },
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
