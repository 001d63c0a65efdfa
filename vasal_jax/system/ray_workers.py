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
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vasal_jax.errors import InputError
from vasal_jax.system import stopping
from vasal_jax.system.processes import core_shares

logger = logging.getLogger(__name__)

_DEATHS = 2  # of workers with one job
_LOOK = 0.2  # seconds between looks for a request to stop
_PATIENCE = 5.0  # seconds for workers to clean up
_LONG = 60.0  # seconds to wait for the first worker without a word
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
    cores: int,
) -> Iterator[Any]:
    """Yields `function(*job)` of every job as each is done; arguments and errors as of `Engine.run`.

    `cores` is how many a worker has, where the cluster has as many for each.
    """
    if not jobs:
        return
    ray = _ray(address)
    with _cluster(ray, address):
        team = _Team(ray, function, _shares(ray, len(jobs), workers, on_devices, cores), local=address is None)
        try:
            yield from _shared_out(ray, team, jobs, lost)
        finally:
            team.end()  # an actor that stayed would keep its cores from whatever the cluster is to do next


class _Shares:
    """How many workers there are, and what each asks the cluster for."""

    def __init__(self, count: int, **resources: float):
        self.count, self.resources = count, resources


def _shares(ray: Any, jobs: int, workers: int | None, on_devices: bool, cores: int) -> _Shares:
    has = ray.cluster_resources()
    all_cores, devices = max(1, int(has.get("CPU", 1))), int(has.get("GPU", 0)) if on_devices else 0
    if devices:
        count = min(jobs, workers or devices)
        return _Shares(count, num_gpus=min(1, devices / count), num_cpus=min(1, all_cores / count))
    count = min(jobs, workers or max(1, all_cores // cores))
    return _Shares(count, num_cpus=max(1, min(cores, all_cores // count)) if count <= all_cores else all_cores / count)


def _shared_out(ray: Any, team: "_Team", jobs: Sequence[tuple], lost: Callable[[tuple, str], Any]) -> Iterator[Any]:
    waiting, deaths = deque(range(len(jobs))), Counter[int]()
    team.begin()
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
                deaths[job] += 1
                team.dismiss(reference)
                if deaths[job] < _DEATHS:
                    waiting.append(job)
                    continue
                value = lost(jobs[job], f"{_DEATHS} workers died with it ({_first_line(error)})")
            yield value


class _Busy:
    """A worker with a job."""

    def __init__(self, actor: Any, place: int, job: int):
        self.actor, self.place, self.job = actor, place, job


class _Team:
    """The workers: at most so many, started as they are needed."""

    def __init__(self, ray: Any, function: Callable, shares: _Shares, local: bool):
        self._ray, self._function, self._shares = ray, ray.put(function), shares
        self._cores = core_shares(shares.count) if local else [set() for _ in range(shares.count)]
        self._places = list(range(shares.count))  # that no worker has
        self._idle: list[tuple[Any, int]] = []
        self.busy: dict[Any, _Busy] = {}  # by what will hold the result

    def begin(self) -> None:
        """Waits for the first worker, which shows that there can be some. Raises `InputError`."""
        actor, place = self._start()
        started, begun = actor.ready.remote(), time.monotonic()
        while not self._ray.wait([started], timeout=_LOOK)[0]:
            stopping.check()
            if begun is not None and time.monotonic() - begun > _LONG:
                logger.warning("Ray has not given a worker yet; its cores or GPUs may all be taken")
                begun = None
        try:
            self._ray.get(started)
        except self._ray.exceptions.RayError as error:
            raise InputError(f"--engine ray: its workers cannot start ({_first_line(error)})") from None
        self._idle.append((actor, place))

    def has_room(self) -> bool:
        """Whether a job can be given."""
        return bool(self._idle or self._places)

    def give(self, job: int, arguments: tuple) -> None:
        """Hands a job to a worker."""
        actor, place = self._idle.pop() if self._idle else self._start()
        self.busy[actor.run.remote(*arguments)] = _Busy(actor, place, job)

    def take(self, reference: Any) -> Any:
        """The result of a job that is done. Raises what the job raised, or `RayError` where its worker is no more."""
        good, value, warnings = self._ray.get(reference)
        busy = self.busy.pop(reference)
        self._idle.append((busy.actor, busy.place))
        for line in warnings:
            logger.warning("%s", line)
        if not good:
            raise value
        return value

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

    def _start(self) -> tuple[Any, int]:
        place = self._places.pop(0)
        kind = self._ray.remote(max_restarts=0, concurrency_groups={"control": 1}, **self._shares.resources)(_Worker)
        return kind.remote(self._function, self._cores[place]), place


class _Worker:
    """What runs in a process of Ray's."""

    def __init__(self, function: Callable, cores: set[int]):
        for thread in os.listdir("/proc/self/task") if cores else ():
            with contextlib.suppress(OSError):  # a thread that has ended
                os.sched_setaffinity(int(thread), cores)
        self._function, self._stop = function, threading.Event()
        stopping.stop_when(self._stop.is_set)

    def ready(self) -> None:
        """Does nothing, which shows that the worker has started."""

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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # JAX's of forks; no worker is one
            if address is None:
                ray.init(address="local", include_dashboard=False, object_store_memory=_STORE, **quiet)
            else:
                ray.init(address=address, **quiet)
    except Exception as error:  # Ray raises any kind
        raise InputError(f"--engine ray: Ray cannot be reached or started ({_first_line(error)})") from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, usual)  # Ray puts its own in its place
    try:
        yield
    finally:
        with stopping.held():
            ray.shutdown()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _ray(address: str | None) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is None and "ray" not in sys.modules:  # which reads the variables when it is imported
        # For whoever has the token alone: otherwise any user of this machine could have the cluster run code.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    return importlib.import_module("ray")
