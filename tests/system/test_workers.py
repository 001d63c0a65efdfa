"""Work in threads of this process, which stop together."""

import pytest

from tests.helpers.jobs import do
from vasal_jax.errors import InputError
from vasal_jax.system import stopping
from vasal_jax.system.workers import in_threads


@pytest.mark.parametrize("workers", [1, 3])
def test_all_jobs_are_done(tmp_path, workers):
    assert sorted(in_threads(do, [(name, tmp_path) for name in "abcde"], workers)) == list("ABCDE")


def test_an_error_stops_what_is_under_way_and_what_waits(tmp_path):
    jobs = [(name, tmp_path) for name in ("waits", "fails", "waits", "waits", "waits")]
    with pytest.raises(InputError, match="a person's mistake"):
        list(in_threads(do, jobs, 2))
    assert len(list(tmp_path.iterdir())) <= 3
    assert not stopping.requested()
