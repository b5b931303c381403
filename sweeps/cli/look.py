"""Defines the commands that show results in a browser: report, watch."""

from __future__ import annotations

from pathlib import Path

import click

from .options import data_option, metric_option, others_options
from .results import others_of


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False))
@click.option("--out", type=click.Path(dir_okay=False), help="The file [default: DIR/report.html].")
@metric_option
@others_options
@click.option("--no-pictures", is_flag=True, help="Shows no examples as pictures; they take the task's data.")
@data_option
def report(
    directory: str,
    out: str | None,
    metric: str | None,
    with_published: bool,
    against: tuple[str, ...],
    no_pictures: bool,
    data_dir: str | None,
) -> None:
    """Writes the results below DIR as one HTML page.

    The page has everything in it: it opens without a network, and can be mailed.

    \b
      lambdapress report runs/digits
      lambdapress report runs/lenets --published --out lenets.html
    """
    from ..page.write import write_report

    path = write_report(
        directory,
        out,
        metric=metric,
        others=lambda summary: others_of(summary, with_published, against),
        pictures=not no_pictures,
        data_dir=data_dir,
    )
    click.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB; open it in a browser")


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="[default: a free one]")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@metric_option
def watch(directory: str, port: int, host: str, metric: str | None) -> None:
    """Shows the results below DIR in a browser, and follows a running sweep.

    Prints the page's address, which has a secret in it, and serves until it is interrupted. The default
    host is reached from this machine alone.

    \b
      lambdapress watch runs/digits
    """
    from ..page.server import serve

    server, address = serve(Path(directory), host, port, metric)
    click.echo(f"{address}\nCtrl-C ends it.")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        click.echo("Ended.")
    finally:
        server.server_close()


COMMANDS = [report, watch]
