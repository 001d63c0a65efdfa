"""Work shared out over several processes that stop together."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import Any

from vasal_jax.errors import InputError
from vasal_jax.system import stopping

_LOOK = 0.2  # seconds between looks for a request to stop


def in_processes(function: Callable, jobs: Sequence[tuple], workers: int) -> Iterator[Any]:
    """Yields `function(*job)` of every job as each is done, from up to `workers` processes.

    With one worker all is done in this process, in order. If the consumer stops or a job fails, jobs under way are told
    so and find out at their next `stopping.check`.

    Raises:
      InputError: a worker was killed.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        for job in jobs:
            yield function(*job)
        return
    context = multiprocessing.get_context("spawn")  # decoders and encoders keep threads, which fork would break
    stop = context.Event()
    with ProcessPoolExecutor(workers, context, _start_worker, (stop,)) as pool:
        try:
            with _ctrl_c_kept_from_children():
                submitted = [pool.submit(function, *job) for job in jobs]  # which starts the processes
            for done in as_completed(submitted):
                yield done.result()
        except BrokenProcessPool:
            raise InputError("a worker process was killed (out of memory?); run again to go on, with fewer") from None
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def in_threads(function: Callable, jobs: Sequence[tuple], workers: int) -> Iterator[Any]:
    """As `in_processes`, in threads of this process: for work that shares a device and what is compiled for it."""
    workers = min(workers, len(jobs))
    if workers <= 1:
        for job in jobs:
            yield function(*job)
        return
    stop = threading.Event()
    stopping.stop_when(stop.is_set)
    try:
        with ThreadPoolExecutor(workers, "worker") as pool:
            waiting = {pool.submit(function, *job) for job in jobs}
            try:
                while waiting:
                    done, waiting = wait(waiting, timeout=_LOOK, return_when=FIRST_COMPLETED)
                    stopping.check()
                    for each in done:
                        yield each.result()
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        stopping.go_on()


@contextmanager
def _ctrl_c_kept_from_children() -> Iterator[None]:
    """Ctrl-C goes to all processes: the first one decides, and the workers clean up when it says so.

    Processes started in here have it blocked from birth, as they would die of it while they load their modules. What
    comes meanwhile reaches this process at the end.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows, whose processes inherit no mask
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(stop: Event) -> None:
    stopping.stop_when(stop.is_set)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for where it could not be blocked before
    # Were the first process killed, its workers would wait for it for ever.
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
