"""Results that a stranger wrote: the page shows their texts as text, or their folder is refused."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from made_results import result, write

from lambdapress.sweeps.page.html import as_script_text
from lambdapress.sweeps.page.write import write_report
from lambdapress.sweeps.results.schema import RESULT, ResultError

ATTACKS = (
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "<a href='javascript:window.hacked=1'>click</a>",
    "'\"><svg onload=window.hacked=1>",
    "{{constructor.constructor('window.hacked=1')()}}",
    "<!--<script>",
    "%{x} <b>bold</b> &lt;i&gt; $x^2$",
    '=HYPERLINK("javascript:window.hacked=1")',
    "\u202eevil\u2066",
)


def hostile(seed: int) -> dict:
    rng = random.Random(seed)

    def text() -> str:
        return rng.choice([a for a in ATTACKS if a.isprintable()]) + str(seed % 3)

    name = text()
    size = rng.choice([1, 2**62])
    known = {"direction": "higher", "unit": rng.choice(["%", "<b>"]), "value": {"test": 0.5, text(): 0.4}}
    return result(
        rng.choice(["<b>task</b>", "</script>task"]),
        rng.choice(["epr", "none", "<i>a</i>"]),
        rng.choice([0.0, 1.0, 1e-300, 9e18]),
        seed,
        f"{seed:016x}",
        overrides={text(): rng.choice([text(), [text()], {text(): {text(): 1}}, 1e300 if False else 3])},
        versions={text(): text()},
        environment={"host": text(), "threads": 2},
        metrics={"accuracy": known, name: known},
        weight_bytes={text(): 2**62, "constructor": 1, "__proto__": 1},
        size_bytes=size,
        ratio=150_000 / size,
        bits_per_weight=8 * size / 37_500,
        parent=rng.choice([None, text()]),
    )


def test_texts_are_shown_as_text(tmp_path: Path, opened):
    for seed in range(200):
        record = hostile(seed)
        trial = write(tmp_path, record, f"trial {seed} <img src=x onerror=window.hacked=1>")
        (trial / "config.gin").write_text("\n".join(ATTACKS), encoding="utf-8")
        (trial / "epochs.csv").write_text(
            "epoch,<b>loss</b>,__proto__\n1,nan,1e999\n2,3,4\n", encoding="utf-8"
        )
    failed = {**hostile(999), "status": "failed", "metrics": None, "error": "\n".join(ATTACKS)}
    write(tmp_path, failed)
    tab = opened(write_report(tmp_path, pictures=False))
    for task in tab.page.evaluate("Object.keys(LP.content.tasks)"):
        tab.page.get_by_label("Task", exact=True).select_option(task)
        tab.page.locator("#table tbody button").first.click()
        tab.page.wait_for_timeout(200)
    assert tab.page.evaluate("window.hacked") is None
    assert (
        tab.page.evaluate(
            "document.querySelectorAll('main img, main b, main i, main a, main svg[onload]').length"
        )
        == 0
    )
    assert tab.page.locator("script").count() == 3
    assert ATTACKS[2] in tab.page.text_content("#trial") + tab.page.text_content("#table")


@pytest.mark.parametrize(
    "change",
    [
        '"size_bytes": 1e999',
        '"size_bytes": NaN',
        '"lmbda": 1e400',
        '"overrides": ' + '{"a": ' * 50 + "1" + "}" * 50,
        '"overrides": ' + "[" * 100_000,
        '"task": "' + "x" * 10_000 + '"',
    ],
)
def test_what_no_trial_writes_is_refused_by_name(tmp_path: Path, change: str):
    trial = write(tmp_path, result("made", "epr", 1.0, 0, "a" * 16))
    name = change.partition(":")[0].strip('"')
    record = json.loads((trial / RESULT).read_text())
    record.pop(name)
    text = json.dumps(record)[:-1] + ", " + change + "}"
    (trial / RESULT).write_text(text)
    with pytest.raises(ResultError, match=trial.name):
        write_report(tmp_path, pictures=False)


@pytest.mark.parametrize("text", [*ATTACKS, "\u2028", "\ud800"])
def test_no_text_ends_the_script_that_it_stands_in(text: str):
    written = as_script_text({"text": text, text: 1})
    assert "<" not in written
    written.encode("utf-8")
    assert json.loads(written)["text"] == text or text == "\ud800"
