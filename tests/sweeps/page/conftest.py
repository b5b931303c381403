"""Finds a browser for the tests of reports."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

FLAGS = (
    "--no-sandbox",  # as root, in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Starts Chromium; where there is none, tests say so, or fail if LAMBDAPRESS_REQUIRE_BROWSER is set."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        message = "there is no chromium on PATH to open reports with; on Debian: apt-get install chromium"
        if os.environ.get("LAMBDAPRESS_REQUIRE_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


class Opened:
    """A report in a tab without a network; `problems` has what its console said."""

    def __init__(self, browser: Any, address: str, **options: Any):
        options = {"viewport": {"width": 1280, "height": 900}, "offline": True, **options}
        self.context = browser.new_context(accept_downloads=True, **options)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._heard)
        self.page.goto(address)
        self.page.wait_for_selector("body[data-ready=true]", timeout=60_000)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def rows(self, selector: str = "#table") -> list[list[str]]:
        """Returns a table's cells as text, without its header."""
        cells = "(row) => [...row.cells].map((cell) => cell.textContent)"
        script = f"(found) => [...document.querySelectorAll(found + ' tbody tr')].map({cells})"
        return self.page.evaluate(script, selector)


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    """Opens reports in tabs; at the end, no console may have said anything."""
    tabs: list[Opened] = []

    def open_(path: Any, **options: Any) -> Opened:
        address = path if str(path).startswith("http") else Path(path).absolute().as_uri()
        tabs.append(Opened(browser, address, **options))
        return tabs[-1]

    yield open_
    for tab in tabs:
        tab.context.close()
    assert [problem for tab in tabs for problem in tab.problems] == []
