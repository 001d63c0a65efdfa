"""An iterator run ahead of its consumer in a thread."""

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


def prefetch(source: Iterator[T], depth: int) -> Iterator[T]:
    """Yields what `source` yields, computed in a worker thread up to `depth` items ahead.

    An exception in `source` is raised here, after the items before it. Closing this generator (or an exception in its
    consumer) ends the thread and closes `source`.
    """
    items: queue.Queue = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(item: object) -> bool:
        while not stop.is_set():
            try:
                items.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in source:
                if not put((item, None)):
                    return
            put((None, StopIteration()))
        except BaseException as error:  # handed over, whatever it is
            put((None, error))
        finally:
            source.close()

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = items.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        stop.set()
        thread.join()
