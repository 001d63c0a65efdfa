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

    assert list(prefetch(source(), depth)) == [(i, "prefetch") for i in range(20)]
    assert not _running()


def test_none_and_exceptions_can_be_items():
    items = [None, ValueError("an item"), StopIteration()]
    assert list(prefetch((item for item in items), 1)) == items


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt()])
def test_an_error_comes_after_the_items_before_it(error):
    def source():
        yield 1
        yield 2
        raise error

    items = prefetch(source(), 1)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(type(error)):
        next(items)
    assert not _running()


def test_it_runs_ahead_but_only_so_far():
    made = []

    def source():
        for i in range(100):
            made.append(i)
            yield i

    items = prefetch(source(), 2)
    assert next(items) == 0
    deadline = time.monotonic() + 10
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    assert len(made) == 3  # one taken, two ahead
    items.close()


def test_closing_ends_the_thread_and_closes_the_source():
    closed = threading.Event()

    def source():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    items = prefetch(source(), 1)
    next(items)
    items.close()
    assert closed.is_set()
    assert not _running()
