import threading
import time

import pytest

from vasal_jax.inputs.prefetch import prefetch


def _running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "prefetch"]


@pytest.mark.parametrize("depth", [1, 3])
def test_items_come_in_order_from_another_thread(depth):
    def source():
        for i in range(20):
            yield i, threading.current_thread().name

    with prefetch(source(), depth) as items:
        assert list(items) == [(i, "prefetch") for i in range(20)]
    assert not _running()


def test_none_and_exceptions_can_be_items():
    expected = [None, ValueError("an item"), StopIteration()]
    with prefetch((item for item in expected), 1) as items:
        assert list(items) == expected


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt()])
def test_an_error_comes_after_the_items_before_it(error):
    def source():
        yield 1
        yield 2
        raise error

    with prefetch(source(), 1) as items:
        assert [next(items), next(items)] == [1, 2]
        with pytest.raises(type(error)):
            next(items)
    assert not _running()


def test_it_runs_ahead_from_the_start_but_only_so_far():
    made = []

    def wait_for(count):
        deadline = time.monotonic() + 10
        while len(made) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        assert len(made) == count

    def source():
        for i in range(100):
            made.append(i)
            yield i

    with prefetch(source(), 2) as items:
        wait_for(2)
        assert next(items) == 0
        wait_for(3)  # one taken, two ahead


def test_the_end_of_the_block_ends_the_thread_and_closes_the_source():
    closed = threading.Event()

    def source():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    with prefetch(source(), 1) as items:
        next(items)
    assert closed.is_set()
    assert not _running()
