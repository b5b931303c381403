"""Serves a report that follows a running sweep."""

from __future__ import annotations

import hmac
import http.server
import json
import os
import secrets
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from ..results.schema import RESULT, ResultError
from ..trial.trial import PROGRESS
from .content import Content, content
from .html import ReportError, as_script_text, page, plotly_code

_FRESH = 600.0
"""Seconds for which a trial counts as running after it last said something."""
_MOST_PROGRESS = 10_000
_MOST_RUNNING = 20
_SECRET_BYTES = 16


class Watched:
    """Keeps the content of a folder, and makes it anew when results have changed."""

    def __init__(self, directory: Path, metric: str | None = None):
        self._directory, self._metric = directory, metric
        self._lock = threading.Lock()
        self._stamp, self._content = "", self._empty("")

    def content(self) -> Content:
        """Returns the content; `stamp` tells one state of the folder from another."""
        with self._lock:
            stamp = self._now()
            if stamp != self._stamp:
                self._content, self._stamp = self._read(stamp), stamp
            return self._content

    def running(self) -> list[str]:
        """Returns a line for each trial that is at work."""
        lines = []
        for path in sorted(self._directory.glob(f"*/{PROGRESS}")):
            if (path.parent / RESULT).exists() or len(lines) == _MOST_RUNNING:
                continue
            try:
                if time.time() - path.stat().st_mtime > _FRESH:
                    continue
                with open(path, encoding="utf-8") as file:
                    state = json.loads(file.read(_MOST_PROGRESS))
                stage, epoch, epochs = (state.get(name) for name in ("stage", "epoch", "epochs"))
            except (OSError, ValueError, AttributeError):  # being written, or no progress at all
                continue
            of = f", epoch {epoch} of {epochs}" if isinstance(epoch, int) and isinstance(epochs, int) else ""
            lines.append(f"{path.parent.name} ({str(stage)[:40]}{of})")
        return lines

    def _now(self) -> str:
        parts = []
        for path in self._results():
            try:
                parts.append(f"{path.name} {path.stat().st_mtime_ns}")
            except OSError:
                continue
        return f"{len(parts)}-{hash(tuple(parts)):x}"

    def _results(self) -> Iterator[Path]:
        for root, _, files in os.walk(self._directory):
            if RESULT in files:
                yield Path(root) / RESULT

    def _read(self, stamp: str) -> Content:
        try:
            return {**content(self._directory, self._metric), "stamp": stamp}
        except ResultError as error:
            return self._empty(stamp, str(error))

    def _empty(self, stamp: str, problem: str = "") -> Content:
        return {"title": self._directory.resolve().name, "tasks": {}, "stamp": stamp, "problem": problem}


def serve(
    directory: Path, host: str = "127.0.0.1", port: int = 0, metric: str | None = None
) -> tuple[http.server.ThreadingHTTPServer, str]:
    """Returns a server of a folder's report, which is listening, and the page's address.

    The server answers only addresses that begin with a secret, has no file of the folder to give, and sends
    the page and its news alone.

    Args:
      directory: of a sweep, or of several.
      host: the address to listen at; the default can be reached from this machine alone.
      port: 0 takes a free one.
      metric: the metric to begin with.

    Raises:
      ReportError: where plotly is not installed, and where nothing can listen there.
    """
    plotly_code()
    watched, secret = Watched(directory, metric), secrets.token_urlsafe(_SECRET_BYTES)

    class Handler(http.server.BaseHTTPRequestHandler):
        server_version, sys_version = "lambdapress", ""

        def do_GET(self) -> None:  # noqa: N802
            address = urllib.parse.urlsplit(self.path)
            _, found, rest = [*address.path.split("/", 2), "", ""][:3]
            if not hmac.compare_digest(found.encode(), secret.encode()):
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", "There is nothing here.")
            elif rest == "":
                self._answer(HTTPStatus.OK, "text/html; charset=utf-8", page(watched.content(), live=True))
            elif rest == "state":
                since = urllib.parse.parse_qs(address.query).get("since", [""])[0]
                state: dict[str, Any] = {"running": watched.running()}
                now = watched.content()
                if now["stamp"] != since:
                    state["content"] = now
                self._answer(HTTPStatus.OK, "application/json", as_script_text(state))
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", "There is nothing here.")

        def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
            data = text.encode()
            self.send_response(status)
            for name, value in (
                ("Content-Type", kind),
                ("Content-Length", str(len(data))),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
                ("Referrer-Policy", "no-referrer"),
            ):
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(data)
            except (BrokenPipeError, ConnectionResetError):  # the reader has gone on
                pass

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Prints nothing: each page asks every few seconds."""

    try:
        server = http.server.ThreadingHTTPServer((host, port), Handler)
    except OSError as error:  # also a name that cannot be looked up
        raise ReportError(
            f"host is {host!r}, port {port}: nothing can listen there ({error.strerror}). Give an address of "
            "this machine, and a port that is free."
        ) from error
    server.daemon_threads = True
    shown = f"[{host}]" if ":" in host else host
    return server, f"http://{shown}:{server.server_address[1]}/{secret}/"
