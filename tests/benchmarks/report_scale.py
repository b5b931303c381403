"""Measures reports of many results: seconds to write, megabytes, seconds until a browser shows the picture.

    python tests/benchmarks/report_scale.py [--counts 2000 10000]
    python tests/benchmarks/report_scale.py --screenshots runs/lenets/report.html --out docs/images

The results are made, not trained. The second form writes what a report looks like, at two widths.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1] / "sweeps" / "page"))

from conftest import FLAGS
from made_results import made_sweep

from lambdapress.sweeps.page.write import write_report


def opened(driver, path: Path, **options):
    """Opens a report; returns its tab and the seconds until everything is drawn."""
    browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
    tab = browser.new_context(offline=True, **options).new_page()
    start = time.perf_counter()
    tab.goto(path.absolute().as_uri())
    tab.wait_for_selector("body[data-ready=true]", timeout=120_000)
    return tab, time.perf_counter() - start


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="*", default=[2_000, 10_000])
    parser.add_argument("--screenshots", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    with sync_playwright() as driver:
        if arguments.screenshots:
            for name, width, height, scheme in (
                ("report", 1280, 1350, "light"),
                ("report_phone", 390, 1200, "dark"),
            ):
                size = {"width": width, "height": height}
                tab, _ = opened(driver, arguments.screenshots, viewport=size, color_scheme=scheme)
                tab.wait_for_timeout(500)
                tab.screenshot(path=str(arguments.out / f"{name}.png"))
            return
        print(f"{'results':>8}{'written (s)':>14}{'MB':>8}{'shown (s)':>12}")
        for count in arguments.counts:
            with tempfile.TemporaryDirectory() as folder:
                made_sweep(Path(folder) / "made", count)
                start = time.perf_counter()
                report = write_report(Path(folder) / "made", pictures=False)
                written = time.perf_counter() - start
                _, shown = opened(driver, report, viewport={"width": 1280, "height": 900})
                print(f"{count:>8,}{written:>14.1f}{report.stat().st_size / 1e6:>8.1f}{shown:>12.2f}")


if __name__ == "__main__":
    main()
