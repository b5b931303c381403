"""Defines the command line, `lambdapress`; imports nothing heavy before a command needs it."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from typing import Any

import click

from . import deploy, look, models, points, results, run, share, upkeep


class Failure(click.ClickException):
    """An error message for the user, without a traceback."""

    exit_code = 2


class Commands(click.Group):
    """Runs commands; shows errors that the user can fix, and Ctrl-C, as one message."""

    def invoke(self, ctx: click.Context) -> Any:
        from ..environment import quiet

        quiet()
        if os.getcwd() not in sys.path:
            # For `import my_algorithm` in a gin file; at the end, so that it hides no other module.
            sys.path.append(os.getcwd())
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if not _is_the_users(error):
                raise
            if ctx.params["debug"]:
                traceback.print_exc()
            raise Failure(str(error) or type(error).__name__) from error
        except KeyboardInterrupt:
            click.echo(f"Interrupted. To go on: {shlex.join(['lambdapress', *sys.argv[1:]])}", err=True)
            ctx.exit(130)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order in which a user needs them


def _is_the_users(error: Exception) -> bool:
    """Tells whether an error is about the user's input, files or machine, not about this program."""
    from ...framework.errors import LambdapressError

    return isinstance(error, (LambdapressError, ValueError, OSError))


EXAMPLES = """\b
A first sweep, on data that comes with the package:
  lambdapress list
  lambdapress sweep digits --dry-run
  lambdapress sweep digits --workers 2
  lambdapress table runs/digits --markdown

\b
One trial, with a parameter changed:
  lambdapress train --task digits --algorithm epr --lmbda 0.5 --gin 'digits.epochs = 3'

\b
A point of the table as a file to deploy:
  lambdapress export runs/digits/TRIAL --format tflite --out model.tflite
  lambdapress benchmark runs/digits/TRIAL

\b
Your own model, after training:
  lambdapress compress model.keras model.lpz --algorithm uniform
  lambdapress inspect model.lpz

\b
Your own algorithm, in a file (docs/add_an_algorithm.md):
  lambdapress train --import my_algorithm.py --task digits --algorithm mine --lmbda 1
"""


@click.group(
    cls=Commands,
    help="Sweeps over λ of weight-compression algorithms for Keras models.\n\n" + EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option("--debug", is_flag=True, help="Shows the traceback of an error.")
@click.version_option(package_name="lambdapress")
def main(debug: bool) -> None:
    del debug


for _command in [
    *run.COMMANDS,
    *results.COMMANDS,
    *look.COMMANDS,
    *share.COMMANDS,
    *upkeep.COMMANDS,
    *points.COMMANDS,
    *models.COMMANDS,
    *deploy.COMMANDS,
]:
    main.add_command(_command)


def _import_own(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> None:
    from ..gin.user_modules import import_own

    for name in names:
        import_own(name)


for _command in main.commands.values():  # eager: imports before the command looks up names
    click.option(
        "--import",
        multiple=True,
        metavar="MODULE",
        expose_value=False,
        is_eager=True,
        callback=_import_own,
        help="Imports your own tasks and algorithms: a module, or a .py file; may be repeated.",
    )(_command)
