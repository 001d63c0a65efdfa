"""A generator run ahead of its consumer in a thread."""

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_PATIENCE = 2.0  # seconds to wait for a worker that is in the middle of an item nobody wants


@contextmanager
def prefetch(source: Generator[T], depth: int) -> Iterator[Iterator[T]]:
    """Gives what `source` yields, computed in a worker thread up to `depth` items ahead, the one under way included.

    The thread begins with the block. An exception in `source` is raised to the consumer, after the items before it. The
    block's end ends the thread and closes `source`, at once or, at the latest, when its item under way is done.
    """
    items: queue.SimpleQueue[tuple[bool, T | BaseException | None]] = queue.SimpleQueue()
    room = threading.Semaphore(depth)
    stop = threading.Event()

    def work() -> None:
        try:
            while True:
                room.acquire()
                if stop.is_set():
                    return
                items.put((True, next(source)))
        except StopIteration:
            items.put((False, None))
        except BaseException as error:  # handed over, whatever it is
            items.put((False, error))
        finally:
            source.close()

    def taken() -> Iterator[T]:
        while True:
            is_item, value = items.get()
            room.release()
            if is_item:
                yield value
            elif value is not None:
                raise value
            else:
                return

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stop.set()
        room.release()
        thread.join(_PATIENCE)
