"""Tests the page that follows a running sweep."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_results import made_sweep, result, write

from lambdapress.sweeps.page.html import ReportError
from lambdapress.sweeps.page.server import serve


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    server, address = serve(tmp_path)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield tmp_path, address
    server.shutdown()
    server.server_close()


def get(address: str, path: str) -> tuple[int, str]:
    parts = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_it_listens_on_this_machine_alone_and_wants_the_secret(served):
    folder, address = served
    made_sweep(folder, 3)
    parts = urllib.parse.urlsplit(address)
    assert parts.hostname == "127.0.0.1" and len(parts.path) > 20
    assert get(address, parts.path)[0] == 200
    for path in ("/", "/state", "/wrong/", parts.path[:-2] + "/", "/../result.json", "//"):
        assert get(address, path)[0] == 404


def test_where_nothing_can_listen_it_says_so(tmp_path):
    for host in ("192.0.2.1", "no.such.host.invalid"):
        with pytest.raises(ReportError, match=f"host is '{host}', port 0: nothing can listen there"):
            serve(tmp_path, host)


def test_no_file_is_served(served):
    folder, address = served
    (folder / "secret.txt").write_text("do not read")
    trial = write(folder, result("made", "none", 0.0, 0, "0" * 16))
    root = urllib.parse.urlsplit(address).path
    for path in (
        "secret.txt",
        f"{trial.name}/result.json",
        "../secret.txt",
        "%2e%2e/secret.txt",
        "/etc/passwd",
    ):
        status, text = get(address, root + path)
        assert status == 404 and "do not read" not in text and "root:" not in text


def test_news_come_once(served):
    folder, address = served
    root = urllib.parse.urlsplit(address).path
    state = json.loads(get(address, root + "state?since=")[1])
    assert state["content"]["tasks"] == {} and "No trial" in state["content"]["problem"]
    stamp = state["content"]["stamp"]
    assert "content" not in json.loads(get(address, f"{root}state?since={stamp}")[1])
    made_sweep(folder, 4)
    state = json.loads(get(address, f"{root}state?since={stamp}")[1])
    assert list(state["content"]["tasks"]) == ["made"]


def test_running_trials_are_named(served):
    folder, address = served
    trial = folder / "made-epr-1-s0-abc"
    trial.mkdir()
    (trial / "progress.json").write_text(json.dumps({"stage": "train", "epoch": 2, "epochs": 7}))
    (folder / "other").mkdir()
    (folder / "other" / "progress.json").write_text("[[[")
    root = urllib.parse.urlsplit(address).path
    state = json.loads(get(address, root + "state?since=")[1])
    assert state["running"] == ["made-epr-1-s0-abc (train, epoch 2 of 7)"]


def test_the_page_follows(served, opened):
    folder, address = served
    tab = opened(address, offline=False)
    assert "No trial has a result" in tab.page.text_content("#about")
    made_sweep(folder, 60)
    tab.page.wait_for_selector("#table tbody tr", timeout=20_000)
    before = len(tab.rows())
    tab.page.get_by_label("power_law", exact=True).uncheck()
    write(folder, result("made", "epr", 77.0, 0, "e" * 16))
    tab.page.wait_for_function(
        "document.querySelectorAll('#table tbody tr').length > 0 && document.body.textContent.includes('77')",
        timeout=20_000,
    )
    assert not tab.page.get_by_label("power_law", exact=True).is_checked()
    assert before > 0
