"""A generator run ahead of its consumer in a thread."""

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")

_POLL = 0.1  # seconds between looks at whether anybody still wants the items
_PATIENCE = 2.0  # seconds to wait for a worker that is in the middle of an item nobody wants


def prefetch(source: Generator[T], depth: int) -> Iterator[T]:
    """Yields what `source` yields, computed in a worker thread up to `depth` items ahead.

    An exception in `source` is raised here, after the items before it. Closing this generator (or an exception in its
    consumer) ends the thread and closes `source`, at once or, at the latest, when its item under way is done.
    """
    items: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(is_item: bool, value: T | BaseException | None) -> None:
        while not stop.is_set():
            try:
                return items.put((is_item, value), timeout=_POLL)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in source:
                put(True, item)
                if stop.is_set():
                    return
            put(False, None)
        except BaseException as error:  # handed over, whatever it is
            put(False, error)
        finally:
            source.close()

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            is_item, value = items.get()
            if is_item:
                yield value
            elif value is not None:
                raise value
            else:
                return
    finally:
        stop.set()
        thread.join(_PATIENCE)
