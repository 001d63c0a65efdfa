"""Work ahead in threads: order, errors, and nothing left running."""

import threading
import time

import pytest

from vasal_jax.system.background import computed_ahead, prefetch


def _running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("prefetch", "ahead"))]


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


def test_results_come_in_order_from_threads_side_by_side():
    both = threading.Barrier(2, timeout=10)  # lets two through together, and none alone

    def function(item):
        both.wait()
        return item, threading.current_thread().name[:5]

    assert list(computed_ahead(function, range(6), 2)) == [(i, "ahead") for i in range(6)]
    assert not _running()


def test_as_many_items_are_taken_as_there_are_workers_and_one():
    taken = []
    results = computed_ahead(lambda item: -item, (taken.append(i) or i for i in range(9)), 2)
    assert [next(results), len(taken)] == [0, 3]
    assert [next(results), len(taken)] == [-1, 4]
    results.close()


def test_an_error_of_a_worker_comes_after_the_results_before_it():
    results = computed_ahead(lambda item: 6 // (2 - item), range(9), 3)
    assert [next(results), next(results)] == [3, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert not _running()


def test_an_error_of_the_source_ends_the_workers():
    results = computed_ahead(lambda item: item, (6 // (2 - i) for i in range(9)), 1)
    assert next(results) == 3
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert not _running()


def test_closing_waits_for_what_is_under_way_and_begins_nothing_more():
    begun, ended = [], []

    def function(item):
        begun.append(item)
        time.sleep(0.2 if item else 0)
        ended.append(item)

    results = computed_ahead(function, range(9), 1)
    next(results)
    results.close()
    assert ended == begun
    assert len(begun) <= 2
    assert not _running()
