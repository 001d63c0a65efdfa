"""Requests to stop, whatever the main thread is doing, in processes of their own."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs Unix signals")

PROGRAM = """
import ctypes, gc, hashlib, os, signal, sys, time
from vasal_jax.system import stopping
from vasal_jax.system.terminal import run

class Dropping:
    def __del__(self):  # an exception in here is reported and dropped
        work("python", 1.0)

def work(kind, seconds):
    if kind == "destructor":
        Dropping()
        work("python", 60)
    elif kind == "native":
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
    elif kind == "another error":
        try:
            work("python", 60)
        except BaseException:
            raise RuntimeError("INTERNAL: a callback failed")
    elif kind == "suppressed":
        try:
            work("python", 60)
        except BaseException:
            pass
    elif kind == "held":
        with stopping.held():
            work("python", 1.0)
            print("whole", flush=True)
        work("python", 60)
    else:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pass

def command():
    print("begun", flush=True)
    work(sys.argv[1], 60)
    return 0

code = run(command)
print("left", flush=True)
sys.exit(code)
"""


def stopped(kind: str, *numbers: int, **options) -> tuple[int, str, str, float]:
    """Exit code, output, errors and seconds until the end of a program that gets signals in the midst of its work."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", PROGRAM, kind], **pipes, **options) as process:
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.3)
        begin = time.monotonic()
        for number in numbers:
            process.send_signal(number)
        out, error = process.communicate(timeout=30)
        return process.returncode, out, error, time.monotonic() - begin


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("kind", ["python", "destructor", "another error", "suppressed"])
def test_no_request_is_lost(kind, number):
    code, out, error, seconds = stopped(kind, number)
    assert (code, out) == (130, "left\n")
    assert error == "stopped; no output was left half written\n"
    assert seconds < 3


def test_native_code_is_not_waited_for():
    code, out, error, seconds = stopped("native", signal.SIGTERM)
    assert (code, out, error) == (130, "", "stopped; no output was left half written\n")
    assert seconds < 3.5


def test_two_signals_of_one_closed_terminal_are_one_request():
    code, _, error, _ = stopped("python", signal.SIGHUP, signal.SIGTERM)
    assert (code, error) == (130, "stopped; no output was left half written\n")


def test_what_must_be_whole_is_not_interrupted():
    code, out, _, _ = stopped("held", signal.SIGINT)
    assert (code, out) == (130, "whole\nleft\n")


def test_a_signal_that_the_program_was_started_to_ignore_is_ignored():
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    code, _, _, seconds = stopped("destructor", signal.SIGHUP, signal.SIGTERM, preexec_fn=ignore)
    assert code == 130
    assert seconds < 3
    with subprocess.Popen([sys.executable, "-c", PROGRAM, "python"], preexec_fn=ignore) as process:
        time.sleep(1)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert process.poll() is None
        process.kill()


LOADING = """
import time
from vasal_jax.system import stopping

stopping.end_at_once()
print("begun", flush=True)
time.sleep(60)
"""


def test_while_libraries_are_loaded_the_program_ends_on_the_spot():
    with subprocess.Popen([sys.executable, "-c", LOADING], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.terminate()
        _, error = process.communicate(timeout=10)
        assert (process.returncode, error) == (130, b"stopped; no output was left half written\n")
