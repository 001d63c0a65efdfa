"""Work shared out by a runner of Apache Beam."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vasal_jax.errors import InputError


def in_beam(function: Callable, jobs: Sequence[tuple], options: Any, runner: Any) -> Iterator[Any]:
    """Yields `function(*job)` of every job, in order, once a pipeline has called it for all of them.

    A runner gives back nothing but files. So the function must leave its result where this process sees it, and find
    it there when it is called again.

    Args:
      function: of a module.
      jobs: the arguments of each call.
      options: `PipelineOptions`, which may name the runner; None for Beam's own.
      runner: a runner or its name; None for that of the options.

    Raises:
      InputError: Apache Beam is not installed.
    """
    try:
        import apache_beam as beam  # pyright: ignore[reportMissingImports] (an extra that "all" leaves out)
    except ModuleNotFoundError:
        raise InputError(
            "Beam's runners need Apache Beam, which is not installed: pip install 'vasal-jax[beam]'"
        ) from None
    with beam.Pipeline(runner=runner, options=options) as pipeline:
        spread = pipeline | beam.Create(list(enumerate(jobs))) | beam.Reshuffle()
        spread | beam.Map(_call, function)
    for job in jobs:
        yield function(*job)


def _call(numbered: tuple[int, tuple], function: Callable) -> None:
    _, job = numbered
    function(*job)
