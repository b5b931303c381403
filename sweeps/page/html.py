"""Puts a report together: one HTML file that needs nothing else, and asks for nothing."""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import importlib.resources
import json
import string
from collections.abc import Mapping
from typing import Any

from ...framework.errors import LambdapressError

_CODE = ("base", "state", "tradeoff", "table", "trial", "pair", "layers", "watch", "main")


class ReportError(LambdapressError, RuntimeError):
    """A report cannot be made; the message says what to do."""


def page(content: Mapping[str, Any], live: bool = False) -> str:
    """Returns a report's HTML.

    Every text of `content` reaches the page as text. The page's policy lets nothing run but its own two
    scripts, and nothing be loaded from elsewhere; one that is `live` may ask the server that it came from.

    Args:
      content: as `content.content` returns it.
      live: whether the page asks its server for news.

    Raises:
      ReportError: where plotly is not installed.
    """
    plotly, code = plotly_code(), "".join(_part(f"{name}.js") for name in _CODE)
    policy = {
        "default-src": "'none'",
        "script-src": " ".join(f"'sha256-{_digest(script)}'" for script in (plotly, code)),
        "style-src": "'unsafe-inline'",  # Plotly's
        "img-src": "data: blob:",
        "connect-src": "'self'" if live else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return string.Template(_part("page.html")).substitute(
        policy=html.escape("; ".join(f"{name} {value}" for name, value in policy.items())),
        title=html.escape(f"{content['title']} – lambdapress"),
        style=_part("page.css"),
        content=as_script_text({**content, "live": live}),
        plotly=plotly,
        code=code,
    )


def as_script_text(value: Any) -> str:
    """Returns JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Lone halves of surrogate pairs, which a file name may hold, have no UTF-8.
    return text.replace("<", "\\u003c").encode("utf-8", "backslashreplace").decode("utf-8")


@functools.cache
def _part(name: str) -> str:
    return (importlib.resources.files("lambdapress.sweeps.page") / name).read_text(encoding="utf-8")


@functools.cache
def plotly_code() -> str:
    """Returns plotly's code for a page.

    Raises:
      ReportError: where plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise ReportError(f"A report needs plotly ({error}): pip install 'lambdapress[report]'.") from None
    return get_plotlyjs().replace("</script", "<\\/script")


@functools.cache
def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
