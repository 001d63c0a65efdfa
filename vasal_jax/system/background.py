"""Work done ahead of its consumer, in threads."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_PATIENCE = 2.0  # seconds to wait for a worker that is in the middle of an item nobody wants


@contextmanager
def prefetch(source: Generator[T], depth: int) -> Iterator[Iterator[T]]:
    """Gives what `source` yields, computed in a worker thread up to `depth` items ahead, the one under way included.

    The thread begins with the block. An exception in `source` is raised to the consumer, after the items before it. The
    block's end ends the thread and closes `source`, at once or, at the latest, when its item under way is done.
    """
    items: queue.SimpleQueue[tuple[T] | BaseException | None] = queue.SimpleQueue()  # an item, an error, or the end
    room = threading.Semaphore(depth)
    stop = threading.Event()

    def work() -> None:
        try:
            while True:
                room.acquire()
                if stop.is_set():
                    return
                items.put((next(source),))
        except StopIteration:
            items.put(None)
        except BaseException as error:  # handed over, whatever it is
            items.put(error)
        finally:
            source.close()

    def taken() -> Iterator[T]:
        while True:
            item = items.get()
            room.release()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item[0]

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stop.set()
        room.release()
        thread.join(_PATIENCE)


def computed_ahead(
    function: Callable[[T], R], items: Iterable[T], workers: int, ahead: int | None = None
) -> Generator[R]:
    """Yields `function(item)` of every item in order, computed in `workers` threads ahead of the consumer.

    Items are taken in the consumer's thread, `ahead` of the one that is waited for, by default `workers`. Closing this
    generator waits for what is under way.
    """
    ahead = workers if ahead is None else ahead
    pool, under_way = ThreadPoolExecutor(workers, "ahead"), deque[Future[R]]()
    try:
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) > ahead:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
