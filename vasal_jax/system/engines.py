"""Where independent pieces of work are done: in threads or processes of this machine, or by Ray's workers."""

import dataclasses
from collections.abc import Callable, Generator, Sequence
from typing import Annotated, Any, Literal

from tyro.conf import arg

from vasal_jax.errors import InputError
from vasal_jax.system.workers import in_processes, in_threads

Name = Literal["local", "ray"]
CORES = 4
"""A worker's of Ray, where nobody says how many workers there are: reading, drawing and encoding keep them busy."""

RayAddress = Annotated[str | None, arg(metavar="HOST:PORT|auto", help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class Engine:
    """What does the work."""

    name: Name = "local"
    address: str | None = None
    """Of a Ray cluster; None: a cluster on this machine, for as long as the work lasts."""
    workers: int | None = None
    """How many at a time; None: one, of Ray one a GPU where there are some, else one for every `CORES` cores."""

    def check(self) -> None:
        """Raises `InputError` for settings that do not go together, or where Ray is not installed."""
        if self.workers is not None and not 1 <= self.workers <= 4096:
            raise InputError(f"--workers: expected 1 to 4096, found {self.workers}")
        if self.name == "ray":
            from vasal_jax.system.ray_workers import check_installed

            check_installed()
        elif self.address is not None:
            raise InputError(f"--ray-address {self.address}: is about --engine ray, which is not given; say it too")

    def run(
        self,
        function: Callable,
        jobs: Sequence[tuple],
        lost: Callable[[tuple, str], Any],
        on_devices: bool = False,
    ) -> Generator[Any]:
        """Yields `function(*job)` of every job as each is done.

        If the consumer stops or a job fails, jobs under way are told so and find out at their next `stopping.check`.

        Args:
          function: of a module, or an object that can be pickled.
          jobs: the arguments of each call.
          lost: with Ray, what is yielded for a job with which two workers died, from the job and the reason.
          on_devices: the function computes with JAX. Threads of this process then share its devices and what is
            compiled for them, and each worker of Ray takes a GPU where there are some.

        Raises:
          InputError: a process was killed, or Ray's cluster cannot be reached or gives no workers.
        """
        if self.name == "ray":
            from vasal_jax.system.ray_workers import in_ray

            yield from in_ray(function, jobs, lost, self.address, self.workers, on_devices, CORES)
        else:
            yield from (in_threads if on_devices else in_processes)(function, jobs, self.workers or 1)
