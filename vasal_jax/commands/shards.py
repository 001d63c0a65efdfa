"""Which part of the videos is this process's, where several share them: `--shard`."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from vasal_jax.errors import InputError

T = TypeVar("T")

MAX_SHARDS = 1_000_000


@dataclass(frozen=True)
class _Scheduler:
    """The variables that a scheduler sets in each task of an array."""

    index: str
    first: str | int  # a variable, or the number itself
    step: str | int
    count: str | None  # None: it does not say
    last: str | None = None


_SCHEDULERS = {
    "a SLURM array": _Scheduler(
        "SLURM_ARRAY_TASK_ID",
        "SLURM_ARRAY_TASK_MIN",
        "SLURM_ARRAY_TASK_STEP",
        "SLURM_ARRAY_TASK_COUNT",
        "SLURM_ARRAY_TASK_MAX",
    ),
    "an indexed job of Kubernetes": _Scheduler("JOB_COMPLETION_INDEX", 0, 1, None),
    "an array of AWS Batch": _Scheduler("AWS_BATCH_JOB_ARRAY_INDEX", 0, 1, "AWS_BATCH_JOB_ARRAY_SIZE"),
    "a job of Cloud Run": _Scheduler("CLOUD_RUN_TASK_INDEX", 0, 1, "CLOUD_RUN_TASK_COUNT"),
}


@dataclass(frozen=True)
class Shard:
    """The part `number` of `count`, from 1 on."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str] = os.environ) -> "Shard":
        """A shard of `3/16`, or of `auto` or `auto/16`, where a scheduler says in the environment which one it is.

        `auto/16` is for schedulers that do not say how many there are, such as Kubernetes. Where they do, both must
        agree.

        Raises:
          InputError: it is neither, out of range, or no scheduler's array is there.
        """
        found = re.fullmatch(r"(auto|\d{1,9})(?:/(\d{1,9}))?", text)
        if not found or (found[1] != "auto" and not found[2]):
            raise InputError(f"--shard: expected one such as 3/16, auto or auto/16, found {text}")
        count = int(found[2]) if found[2] else None
        shard = cls(int(found[1]), count or 0) if found[1] != "auto" else cls._of_scheduler(environment, count)
        if not 1 <= shard.number <= shard.count <= MAX_SHARDS:
            raise InputError(f"--shard: expected 1 to N of at most {MAX_SHARDS}, found {shard}")
        return shard

    @classmethod
    def _of_scheduler(cls, environment: Mapping[str, str], count: int | None) -> "Shard":
        name = next((name for name, has in _SCHEDULERS.items() if has.index in environment), None)
        if name is None:
            known = ", ".join(_SCHEDULERS)
            raise InputError(f"--shard auto: found no array of tasks, expected one of {known}; say one such as 3/16")
        has = _SCHEDULERS[name]
        first, step = (_number(environment, variable, name) for variable in (has.first, has.step))
        index, odd = divmod(_number(environment, has.index, name) - first, step)
        if has.count and (has.count in environment or count is None):
            said = _number(environment, has.count, name)
            if count not in (None, said):
                raise InputError(f"--shard auto/{count}: {name} has {said} tasks; say --shard auto")
            count = said
        if count is None:
            raise InputError(f"--shard auto: {name} does not say how many there are; say it, as in --shard auto/16")
        last = first + step * (count - 1) if has.last is None else _number(environment, has.last, name)
        if odd or last != first + step * (count - 1):
            raise InputError(f"--shard auto: the numbers of {name} have gaps; say which shard it is, such as 3/16")
        return cls(index + 1, count)

    def of(self, items: Sequence[T]) -> list[T]:
        """Every `count`-th item from the `number`-th on: all shards together have each item once."""
        return list(items[self.number - 1 :: self.count])

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def _number(environment: Mapping[str, str], variable: str | int, scheduler: str) -> int:
    if isinstance(variable, int):
        return variable
    text = environment.get(variable, "")
    if not re.fullmatch(r"\d{1,9}", text) or (variable.endswith("STEP") and int(text) == 0):
        raise InputError(f"--shard auto: expected a number in {variable} of {scheduler}, found {text or 'nothing'}")
    return int(text)
