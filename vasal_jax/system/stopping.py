"""Requests to stop: Ctrl-C, a kill by a job's time limit, a terminal that was closed.

A handler that raises `KeyboardInterrupt` is not enough. Where the main thread is in a callback of a C++ library or in a
destructor, the exception is dropped; so the request is remembered, raised anew where Python reports the drop, and
checked wherever the work turns. Where the main thread is in native code, such as XLA's compiler, no handler runs; so a
thread ends the program if none has run in time.
"""

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
EXIT_CODE = 130

_PATIENCE = 2.0  # seconds for which the main thread may be in native code
_SAME_REQUEST = 1.0  # seconds in which another signal is the same request: a closed terminal often sends two

_PAUSE = 0.05  # seconds from the report of a dropped exception to the next one

_requested: float | None = None  # when, on the monotonic clock
_number = signal.SIGINT  # the last signal
_holding = 0  # nested `held` blocks
_handled = threading.Event()


def _never() -> bool:
    return False


_unwanted: Callable[[], bool] = _never


def check() -> None:
    """Raises `KeyboardInterrupt` in the main thread if the program was asked to stop, and in any thread of a worker
    whose work is not wanted any more; to be called between pieces of work."""
    if (_requested is not None and _in_main_thread()) or _unwanted():
        raise KeyboardInterrupt


def requested() -> bool:
    """Whether the program was asked to stop."""
    return _requested is not None or _unwanted()


def stop_when(unwanted: Callable[[], bool]) -> None:
    """Has a worker, or all threads of this process, stop once `unwanted` says so, which is asked at each `check`."""
    global _unwanted
    _unwanted = unwanted


def go_on() -> None:
    """Ends what `stop_when` began."""
    stop_when(_never)


def say_stopped() -> None:
    """Says on standard error that the program was stopped."""
    with suppress(OSError):  # a terminal that was closed
        os.write(2, b"stopped; no output was left half written\n")


@contextmanager
def held() -> Iterator[None]:
    """Requests in the block are raised at its end: for what must be done whole."""
    global _holding
    if not _in_main_thread():  # into which nothing is raised
        yield
        check()
        return
    _holding += 1
    try:
        yield
    finally:
        _holding -= 1
    if _holding == 0:
        check()


def end_at_once() -> None:
    """Has requests end the program on the spot, until `heard`: for the time in which libraries are loaded.

    Nothing is written yet, and nothing may raise in the middle of native code.
    """

    def end(_: int, __: FrameType | None) -> None:
        say_stopped()
        os._exit(EXIT_CODE)

    _handle_by(end)


def leave(code: int) -> NoReturn:
    """Ends the program with an exit code.

    After a stop it does so on the spot: Python's own end would take the ground from under threads that XLA still
    compiles in, and crash in one of some hundred runs.
    """
    if code == EXIT_CODE:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # a stream that was closed
                stream.flush()
        os._exit(code)
    sys.exit(code)


@contextmanager
def heard(clean_up: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Requests in the block raise `KeyboardInterrupt` and are remembered.

    Args:
      clean_up: called where the program must be ended while its main thread is in native code.
    """
    global _requested
    _requested = None
    usual_hook = sys.unraisablehook

    def raise_dropped(report: Any) -> None:
        global _requested
        if _requested is None or not isinstance(report.exc_value, KeyboardInterrupt):
            usual_hook(report)
            return
        _requested = None  # or it would be taken for the same request
        # By a thread, since here it would be raised in this very function, and dropped.
        threading.Timer(_PAUSE, raise_anew).start()

    def raise_anew() -> None:
        if sys.unraisablehook is raise_dropped:  # else the block has ended
            _thread.interrupt_main(_number)

    handlers = _handle_by(_stop)
    sys.unraisablehook = raise_dropped
    try:
        with _ended_in_time(clean_up):
            yield
    finally:
        sys.unraisablehook = usual_hook
        for number, handler in handlers.items():
            signal.signal(number, handler)
        _requested = None


def _stop(number: int, _: FrameType | None) -> None:
    global _requested, _number
    _number = signal.Signals(number)
    again = _requested is not None and time.monotonic() - _requested < _SAME_REQUEST
    if not again:
        _requested = time.monotonic()
    _handled.set()
    if not again and _holding == 0:
        raise KeyboardInterrupt


def _handle_by(handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Has the signals handled, but for those that the program was started to ignore, as behind nohup or `&`.

    Returns the handlers before. Signals are the main thread's, so elsewhere there is nothing to do.
    """
    if not _in_main_thread():
        return {}
    usual = {number: signal.getsignal(number) for number in SIGNALS}
    usual = {number: before for number, before in usual.items() if before not in (signal.SIG_IGN, None)}
    for number in usual:
        signal.signal(number, handler)
    return usual


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def _ended_in_time(clean_up: Callable[[], object]) -> Iterator[None]:
    """Ends the program if a signal comes whose handler has not run within `_PATIENCE`."""
    if os.name != "posix" or not _in_main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def watch() -> None:
        while told := os.read(reading, 1):
            if signal.getsignal(told[0]) is _stop and not _handled.wait(_PATIENCE):
                clean_up()
                say_stopped()
                os._exit(EXIT_CODE)

    _handled.clear()
    thread = threading.Thread(target=watch, name="stopping", daemon=True)
    thread.start()
    usual = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(usual)
        _handled.set()
        os.close(writing)
        thread.join()
        os.close(reading)
