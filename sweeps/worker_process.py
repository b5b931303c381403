"""Keeps a process of our own that calls a function for us again and again, and says how it died.

Native code can end a process at any time. The worker has a pipe for its work and one for what it
prints, and shares nothing else: no queue or semaphore that a kill could leave locked. A worker
whose owner is gone ends itself.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import connection as mp_connection
from typing import Any

from .environment import quiet

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
"""The environment variable by which TensorFlow, when it is imported, takes oneDNN's kernels or not."""

_NATIVE = {"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV"}
_KEPT_LINES = 1000
_WORDS, _FRAMES = 5, 15  # lines that are told of what a process wrote, and of where Python was
_FATAL, _CURRENT = "Fatal Python error:", "Current thread"  # Python's faulthandler writes these


@dataclasses.dataclass(frozen=True)
class Death:
    """Says how a process died.

    Attributes:
      code: its exit code, or minus the number of the signal.
      words: the last lines that it wrote to its standard error.
      frames: where Python was when native code ended it, the innermost call first.
      onednn: whether TensorFlow may have used oneDNN's kernels there.
    """

    code: int
    words: Sequence[str] = ()
    frames: Sequence[str] = ()
    onednn: bool = True

    @classmethod
    def of(cls, code: int, written: str, onednn: bool = True) -> Death:
        """Returns the death of a process that ended with `code` after it wrote `written`."""
        words, _, dump = written.rpartition(_FATAL) if _FATAL in written else (written, "", "")
        lines = [line.rstrip() for line in words.splitlines() if line.strip()]
        frames = dump.partition(_CURRENT)[2].partition("\n\n")[0].splitlines()[1:]
        return cls(code, lines[-_WORDS:], [line.strip() for line in frames[:_FRAMES]], onednn)

    def __str__(self) -> str:
        """Says it in a line: `by SIGABRT: free(): invalid next size (fast)`, and what to try."""
        text = f"by {self._signal}" if self.code < 0 else f"with exit code {self.code}"
        text += f": {self.words[-1].strip()}" if self.words else ""
        if self._signal in _NATIVE and self.onednn and os.environ.get(ONEDNN) != "0":
            text += " (TensorFlow's oneDNN kernels may be at fault: set TF_ENABLE_ONEDNN_OPTS=0)"
        return text

    @property
    def _signal(self) -> str:
        try:
            name = signal.Signals(-self.code).name
        except ValueError:
            name = f"signal {-self.code}"
        return f"{name} (out of memory?)" if name == "SIGKILL" else name

    @property
    def details(self) -> str:
        """The last lines that it wrote and where it was, over some lines; empty if nothing is known."""
        wrote = ["It wrote last:", *self.words] if self.words else []
        was = ["Python was in:", *self.frames] if self.frames else []
        return "\n".join([*wrote, *was])


class Worker:
    """Keeps a process that calls one function. It starts with the first call, and again after it died."""

    def __init__(
        self,
        function: Callable[[Any], Any],
        raises: type[Exception],
        threads: int | None = None,
        environment: Mapping[str, str] | None = None,
    ):
        """Prepares a worker; starts nothing.

        Args:
          function: of a module, since another process imports it; takes and returns what can be pickled.
          raises: an error that it raises with a message: `take` raises it here. Any other ends the process.
          threads: how many threads TensorFlow uses there; None: as many as it likes.
          environment: environment variables of the process, in place of ours or beside them.

        `heard` may be set to a function that takes what the process prints, and returns what of it is to go
        to our standard error: all of it, if nothing is set.
        """
        self._environment = dict(environment or {})
        self._function, self._raises, self._threads = function, raises, threads
        self.heard: Callable[[bytes], bytes] = lambda text: text
        self._alive = self._ready = self._dying = False
        self._pipe: Any = None
        self._errors: Any = None
        self._process: Any = None
        self._written: collections.deque[bytes] = collections.deque(maxlen=_KEPT_LINES)

    @property
    def alive(self) -> bool:
        """True if there is a process that can take a call."""
        return self._alive and self._process.is_alive()

    @property
    def pid(self) -> int | None:
        """The process's number; None where there is none."""
        return self._process.pid if self._alive else None

    @property
    def ready(self) -> bool:
        """True once the process has come to where it takes calls: what ends it then is the function."""
        return self._ready

    def start(self, argument: Any) -> None:
        """Has the function called with `argument`; returns at once."""
        if not self.alive:
            self.stop()
            self._spawn()
        with contextlib.suppress(OSError):  # a process that died just now: `take` finds out
            self._pipe.send(argument)

    def waitables(self) -> list[Any]:
        """Lists what `multiprocessing.connection.wait` waits for: then `take` has something to do."""
        return [self._pipe, self._process.sentinel, *([self._errors] if self._errors is not None else [])]

    def take(self) -> tuple[bool, Any]:
        """Passes on what the process wrote, and takes its answer if it is there.

        Returns:
          Whether the call has ended, and the function's value, or a `Death`.

        Raises:
          the error that the function may raise.
        """
        if not self._pipe.poll() and self._process.is_alive():
            self._pass_on()
            return False, None
        try:
            kind, value = self._pipe.recv()
        except (EOFError, OSError):
            return True, self._dead()
        self._pass_on()  # all that was written before the answer
        if kind == "ready":
            self._ready = True
            return False, None
        if kind == "error":
            raise self._raises(value)
        return True, value

    def call(self, argument: Any) -> Any:
        """Has the function called, and waits; returns and raises as `take` does in the end."""
        self.start(argument)
        ended, value = False, None
        while not ended:
            mp_connection.wait(self.waitables())
            ended, value = self.take()
        return value

    def stop(self) -> None:
        """Kills the process, if there is one."""
        if self._alive:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._pipe.close()
            if self._errors is not None:
                self._errors.close()
            self._alive = False

    def _spawn(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._errors, their_errors = context.Pipe(duplex=False)
        os.set_blocking(self._errors.fileno(), False)
        arguments = theirs, their_errors, self._function, self._raises
        self._process = context.Process(target=_serve, args=arguments)
        with _environment(self._threads, self._environment):
            self._process.start()
        theirs.close()
        their_errors.close()
        self._alive, self._ready = True, False
        self._written.clear()
        self._dying = False

    def _dead(self) -> Death:
        self._process.join()
        self._pass_on()
        written = b"".join(self._written).decode(errors="replace")
        death = Death.of(self._process.exitcode, written, self._environment.get(ONEDNN) != "0")
        self.stop()
        return death

    def _pass_on(self) -> None:
        """Writes to our standard error what the process has printed, and keeps the last lines.

        The long dump of a process that dies is kept alone.
        """
        while self._errors is not None:
            try:
                text = os.read(self._errors.fileno(), 2**16)
            except BlockingIOError:
                return
            if not text:  # it is closed
                self._errors.close()
                self._errors = None
                return
            shown = b"" if self._dying else text.partition(_FATAL.encode())[0]
            self._dying = self._dying or len(shown) < len(text)
            shown = self.heard(shown) if shown else shown
            with contextlib.suppress(OSError):
                os.write(2, shown)
            self._written.extend(text.splitlines(keepends=True))


@contextlib.contextmanager
def _environment(threads: int | None, own: Mapping[str, str]) -> Iterator[None]:
    """Sets what a worker inherits: few messages, its share of threads, no Ctrl-C (its owner stops it).

    `own` are variables that take the place of ours.
    """
    wanted = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "LIBC_FATAL_STDERR_": "1",  # the C library's last words go where we read them, not to the terminal
    }
    if threads is not None:
        names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        wanted.update({name: str(threads) for name in names})
    added = {**{name: value for name, value in wanted.items() if name not in os.environ}, **own}
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _serve(pipe: Any, errors: Any, function: Callable[[Any], Any], raises: type[Exception]) -> None:
    """Takes calls and sends results until the owner closes the pipe or dies."""
    for descriptor in (1, 2):
        os.dup2(errors.fileno(), descriptor)
    errors.close()
    sys.stdout.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue]
    faulthandler.enable()
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    quiet()
    with contextlib.suppress(OSError):  # the owner may be gone by now
        pipe.send(("ready", None))
    try:
        while True:
            try:
                argument = pipe.recv()
            except (EOFError, OSError):
                return
            try:
                pipe.send(("result", function(argument)))
            except raises as error:
                pipe.send(("error", str(error)))
    except BaseException:
        traceback.print_exc()
        os._exit(1)  # at once: threads that the function has started would keep a Python that exits


def _end_with(sentinel: int) -> None:
    mp_connection.wait([sentinel])
    os._exit(1)
