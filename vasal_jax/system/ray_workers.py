"""Work shared out over Ray's workers: a process a GPU or a group of cores, on this machine or on a cluster's.

Jobs are handed out one at a time. A worker that dies, or its machine, gives its job back; a job with which two workers
died is left out.
"""

import contextlib
import importlib
import importlib.util
import logging
import os
import secrets
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vasal_jax.errors import InputError
from vasal_jax.system import stopping
from vasal_jax.system.processes import core_shares

logger = logging.getLogger(__name__)

_CORES = 4  # of a worker without a GPU; a clip keeps hardly more of them busy
_DEATHS = 2  # of workers with one job
_FAILED_STARTS = 5  # in a row
_LOOK = 0.2  # seconds between looks for a request to stop
_PATIENCE = 5.0  # seconds for workers to clean up
_STORE = 100 * 2**20  # bytes of shared memory; jobs and results are small


def check_installed() -> None:
    """Raises `InputError` where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise InputError("--engine ray needs Ray, which is not installed: pip install 'vasal-jax[ray]'")


def in_ray(
    function: Callable,
    jobs: Sequence[tuple],
    lost: Callable[[tuple, str], Any],
    address: str | None,
    workers: int | None,
    on_devices: bool,
) -> Iterator[Any]:
    """Yields `function(*job)` of every job as each is done; arguments and errors as of `Engine.run`."""
    if not jobs:
        return
    ray = _ray(address)
    with _cluster(ray, address):
        team = _Team(ray, function, _shares(ray, len(jobs), workers, on_devices), local=address is None)
        try:
            yield from _shared_out(ray, team, jobs, lost)
        finally:
            team.end()  # an actor that stayed would keep its cores from whatever the cluster is to do next


class _Shares:
    """How many workers there are, and what each asks the cluster for."""

    def __init__(self, count: int, **resources: float):
        self.count, self.resources = count, resources


def _shares(ray: Any, jobs: int, workers: int | None, on_devices: bool) -> _Shares:
    has = ray.cluster_resources()
    cores, devices = max(1, int(has.get("CPU", 1))), int(has.get("GPU", 0)) if on_devices else 0
    if devices:
        count = min(jobs, workers or devices)
        return _Shares(count, num_gpus=1, num_cpus=min(1, cores / count))
    count = min(jobs, workers or max(1, cores // _CORES))
    return _Shares(count, num_cpus=max(1, min(_CORES, cores // count)) if count <= cores else cores / count)


def _shared_out(ray: Any, team: "_Team", jobs: Sequence[tuple], lost: Callable[[tuple, str], Any]) -> Iterator[Any]:
    waiting, deaths, failed_starts = deque(range(len(jobs))), Counter[int](), 0
    while waiting or team.busy:
        while waiting and team.has_room():
            team.give(waiting[0], jobs[waiting.popleft()])
        done, _ = ray.wait(list(team.busy), num_returns=1, timeout=_LOOK)
        stopping.check()
        for reference in done:
            job = team.busy[reference].job
            try:
                value = team.take(reference)
            except ray.exceptions.RayError as error:
                reason = str(error).strip().splitlines()[0][:200]
                if not team.had_started(reference):
                    failed_starts += 1
                    if failed_starts >= _FAILED_STARTS:
                        raise InputError(f"Ray's workers end before they begin: {reason}") from None
                else:
                    deaths[job] += 1
                team.dismiss(reference)
                if deaths[job] < _DEATHS:
                    waiting.append(job)
                    continue
                value = lost(jobs[job], f"{_DEATHS} workers died with it ({reason})")
            failed_starts = 0
            yield value


class _Busy:
    """A worker with a job."""

    def __init__(self, actor: Any, place: int, started: Any, job: int):
        self.actor, self.place, self.started, self.job = actor, place, started, job


class _Team:
    """The workers: at most so many, started as they are needed."""

    def __init__(self, ray: Any, function: Callable, shares: _Shares, local: bool):
        self._ray, self._function, self._shares = ray, ray.put(function), shares
        self._cores = core_shares(shares.count) if local else [set() for _ in range(shares.count)]
        self._places = list(range(shares.count))  # that no worker has
        self._idle: list[tuple[Any, int, Any]] = []
        self.busy: dict[Any, _Busy] = {}  # by what will hold the result

    def has_room(self) -> bool:
        return bool(self._idle or self._places)

    def give(self, job: int, arguments: tuple) -> None:
        """Hands a job to a worker."""
        actor, place, started = self._idle.pop() if self._idle else self._start()
        self.busy[actor.run.remote(*arguments)] = _Busy(actor, place, started, job)

    def take(self, reference: Any) -> Any:
        """The result of a job that is done. Raises what the job raised, or `RayError` where its worker is no more."""
        good, value, warnings = self._ray.get(reference)
        busy = self.busy.pop(reference)
        self._idle.append((busy.actor, busy.place, busy.started))
        for line in warnings:
            logger.warning("%s", line)
        if not good:
            raise value
        return value

    def had_started(self, reference: Any) -> bool:
        """Whether the worker of a job was ready for it."""
        try:
            self._ray.get(self.busy[reference].started, timeout=0)
        except (self._ray.exceptions.RayError, TimeoutError):
            return False
        return True

    def dismiss(self, reference: Any) -> None:
        """Forgets a worker that is no more."""
        busy = self.busy.pop(reference)
        self._ray.kill(busy.actor)
        self._places.append(busy.place)

    def end(self) -> None:
        """Ends all workers; those under way may clean up before."""
        with stopping.held(), contextlib.suppress(self._ray.exceptions.RayError):
            for busy in self.busy.values():
                busy.actor.stop.options(concurrency_group="control").remote()
            self._ray.wait(list(self.busy), num_returns=len(self.busy), timeout=_PATIENCE) if self.busy else None
            for actor in [busy.actor for busy in self.busy.values()] + [actor for actor, *_ in self._idle]:
                self._ray.kill(actor)

    def _start(self) -> tuple[Any, int, Any]:
        place = self._places.pop(0)
        kind = self._ray.remote(max_restarts=0, concurrency_groups={"control": 1}, **self._shares.resources)(_Worker)
        actor = kind.remote(self._function, self._cores[place])
        return actor, place, actor.ready.options(concurrency_group="control").remote()


class _Worker:
    """What runs in a process of Ray's."""

    def __init__(self, function: Callable, cores: set[int]):
        for thread in os.listdir("/proc/self/task") if cores else ():
            with contextlib.suppress(OSError):  # a thread that has ended
                os.sched_setaffinity(int(thread), cores)
        self._function, self._stop = function, threading.Event()
        stopping.stop_when(self._stop.is_set)

    def ready(self) -> int:
        return os.getpid()

    def run(self, *job: Any) -> tuple[bool, Any, list[str]]:
        """Whether the job was done, its result or else its error, and what was warned of."""
        with _warnings() as lines:
            try:
                return True, self._function(*job), lines
            except Exception as error:
                return False, error, lines

    def stop(self) -> None:
        self._stop.set()


@contextlib.contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collects the lines that our packages warn with."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    loggers = [logging.getLogger(package) for package in ("vasal_jax", "data")]
    for package in loggers:
        package.addHandler(handler)
    try:
        yield lines
    finally:
        for package in loggers:
            package.removeHandler(handler)


@contextlib.contextmanager
def _cluster(ray: Any, address: str | None) -> Iterator[None]:
    """Connects to a cluster, or starts one on this machine that ends with the block; one that is there is used."""
    if ray.is_initialized():
        yield
        return
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    usual = signal.getsignal(signal.SIGTERM)
    try:
        if address is None:
            local = {"include_dashboard": False, "object_store_memory": _STORE, "_node_ip_address": "127.0.0.1"}
            ray.init(address="local", **quiet, **local)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise InputError(f"--engine ray: Ray cannot be reached or started ({reason})") from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, usual)  # Ray puts its own in its place
    try:
        yield
    finally:
        with stopping.held():
            ray.shutdown()


def _ray(address: str | None) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is None and "ray" not in sys.modules:  # which reads the variables when it is imported
        # For whoever has the token alone: otherwise any user of this machine could have the cluster run code.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    return importlib.import_module("ray")
