"""Tests that a worker survives nothing and its owner everything: each way in which a process can end."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

import pytest

from lambdapress.sweeps.worker_process import Death, Worker

HINT = "TF_ENABLE_ONEDNN_OPTS=0"


def work(what: str) -> str:
    """Runs in the worker."""
    if what == "native":  # a real one: the C library finds that its heap is damaged
        ctypes.CDLL(None).free(ctypes.c_void_p(ctypes.addressof(ctypes.create_string_buffer(64)) + 8))
    if what == "segfault":
        ctypes.string_at(0)
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "_exit":
        os._exit(3)
    if what == "no line":
        os.write(2, b"one\nno line end")
        os.abort()
    if what == "interrupt":
        threading.Thread(target=time.sleep, args=(1000,)).start()  # would keep a Python that exits
        raise KeyboardInterrupt
    if what == "exit":
        sys.exit(4)
    if what == "refused":
        raise LookupError("there is none")
    if what == "talks":
        print("a warning", file=sys.stderr)
    if what == "much":
        os.write(2, b"line\n" * 100_000)  # more than a pipe holds
    return f"{what} done"


@pytest.fixture(scope="module")
def worker():
    made = Worker(work, LookupError)
    yield made
    made.stop()


@pytest.mark.parametrize(
    "what, start, hinted",
    [
        ("native", "by SIGABRT: free(): invalid pointer (", True),
        ("segfault", "by SIGSEGV", True),
        ("no line", "by SIGABRT: no line end (", True),
        ("killed", "by SIGKILL (out of memory?)", False),
        ("_exit", "with exit code 3", False),
        ("exit", "with exit code 1: SystemExit: 4", False),
        ("interrupt", "with exit code 1: KeyboardInterrupt", False),
    ],
)
def test_a_death_is_told_and_the_next_call_is_served(worker, what, start, hinted, monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    death = worker.call(what)
    assert isinstance(death, Death)
    assert str(death).startswith(start)
    assert (HINT in str(death)) == hinted
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert HINT not in str(death)
    assert worker.call("next") == "next done"


def test_a_native_death_says_where_python_was_but_not_on_the_terminal(worker, capfd):
    death = worker.call("native")
    assert death.words == ["free(): invalid pointer"] and death.frames[0].endswith(" in work")
    assert capfd.readouterr().err == "free(): invalid pointer\n"
    wrote, words, was, frame, *_ = death.details.splitlines()
    assert (wrote, words, was, frame) == ("It wrote last:", *death.words, "Python was in:", death.frames[0])


def test_an_error_that_is_expected_is_raised_and_the_process_stays(worker):
    worker.call("first")
    process = worker._process.pid
    with pytest.raises(LookupError, match="there is none"):
        worker.call("refused")
    assert worker.call("next") == "next done"
    assert worker._process.pid == process


def test_what_it_writes_is_seen_and_never_stops_it(worker, capfd):
    assert worker.call("talks") == "talks done"
    assert capfd.readouterr().err == "a warning\n"
    assert worker.call("much") == "much done"
    assert capfd.readouterr().err == "line\n" * 100_000
