"""Ray's workers: every job done, a worker that dies gives its job back, and nothing stays when the work ends."""

import logging
import sys
from collections import Counter
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers.jobs import do
from vasal_jax.errors import InputError
from vasal_jax.system.engines import Engine

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'vasal-jax[ray]'")


def run(folder: Path, *what: str):
    return Engine("ray", workers=2).run(do, [(each, folder) for each in what], lambda job, reason: (job[0], reason))


def begun(folder: Path) -> Counter[str]:
    return Counter(path.name.partition("-")[0] for path in folder.iterdir())


def test_a_dead_worker_gives_its_job_back_and_a_job_that_kills_two_is_left_out(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        results = list(run(tmp_path, "a", "kills", "warns", "kills once", "b"))
    texts = sorted(result for result in results if isinstance(result, str))
    assert texts == ["A", "B", "KILLS ONCE", "WARNS"]
    ((name, reason),) = (result for result in results if not isinstance(result, str))
    assert name == "kills"
    assert reason.startswith("2 workers died with it")
    assert begun(tmp_path) == {"a": 1, "b": 1, "warns": 1, "kills": 2, "kills once": 2}
    assert "something is odd" in caplog.messages
    assert not sys.modules["ray"].is_initialized()


@pytest.mark.slow
def test_an_error_ends_the_rest_and_leaves_the_cluster_free(tmp_path):
    ray = pytest.importorskip("ray")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        with pytest.raises(InputError, match="a person's mistake"):
            list(run(tmp_path, "waits", "fails", "a", "b"))
        assert begun(tmp_path)["waits"] == 1
        with closing(run(tmp_path, "a", "waits")) as results:
            assert next(results) == "A"
        # Whoever comes next may need all cores.
        assert ray.get(ray.remote(num_cpus=2)(lambda: 0).remote(), timeout=60) == 0
    finally:
        ray.shutdown()
