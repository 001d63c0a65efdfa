"""What all command lines share: printing, progress bars, exit codes, forms of arguments."""

import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text
from tyro.conf import arg
from tyro.constructors import PrimitiveConstructorSpec

from vasal_jax.errors import InputError
from vasal_jax.size import Size
from vasal_jax.system import stopping
from vasal_jax.system.files import remove_temporaries
from vasal_jax.system.text import printable

console = Console(stderr=True)

# Arguments whose help reads as a person would write it.
OptionalFile = Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")]
Flag = Annotated[bool, arg(help_behavior_hint="")]
MemoryArgument = Annotated[str | None, arg(metavar="continuous|reset/N|overlap/N", help_behavior_hint="")]
_SIZE = PrimitiveConstructorSpec(
    nargs=1,
    metavar="WxH",
    instance_from_str=lambda words: Size.parse(words[0]),
    is_instance=lambda value: isinstance(value, Size | None),
    str_from_instance=lambda size: [str(size)],
)
SizeArgument = Annotated[Size, _SIZE]
OptionalSize = Annotated[Size | None, _SIZE, arg(help_behavior_hint="")]


def progress_bar(disable: bool = False) -> Progress:
    """A progress bar on standard error: description, bar, count, times, and the task's field `note` where it has one.

    Tasks are added with `add_task(description, total=..., note=...)`; both texts are shown as they are, never as
    markup.
    """
    return Progress(
        _PlainColumn(lambda task: task.description),
        BarColumn(),
        MofNCompleteColumn(),
        _PlainColumn(lambda task: task.fields.get("note", "")),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        disable=disable,
    )


class Lines(Protocol):
    """What adds lines to a progress bar and moves them on, as `rich.progress.Progress` does."""

    def add_task(self, description: str, *, total: float | None, **fields: Any) -> TaskID: ...

    def update(self, task_id: TaskID, **fields: Any) -> None: ...


class OwnLines:
    """Lines of one piece of work in a progress bar of many, which go with the block."""

    def __init__(self, progress: Progress):
        self._progress = progress
        self._own: list[TaskID] = []

    def add_task(self, description: str, *, total: float | None, **fields: Any) -> TaskID:
        """Adds a line."""
        self._own.append(self._progress.add_task(description, total=total, **fields))
        return self._own[-1]

    def update(self, task_id: TaskID, **fields: Any) -> None:
        """Moves a line on."""
        self._progress.update(task_id, **fields)

    def __enter__(self) -> "OwnLines":
        return self

    def __exit__(self, *_: object) -> None:
        for task in self._own:
            self._progress.remove_task(task)


def say(text: str) -> None:
    """Prints a line to standard output, control characters in it shown."""
    print(printable(text))


def show(table: Table) -> None:
    """Prints a table to standard output; what stands in it is shown as it is, never as markup."""
    Console(markup=False, highlight=False).print(table)


def run(command: Callable[[], int]) -> int:
    """Runs a command as a person's.

    Returns:
      The command's exit code; 2 with one line for a mistake or a lack of the system, 130 for a request to stop.
    """
    replace_closed_streams()
    lines, root = _LineHandler(logging.WARNING), logging.getLogger()
    root.handlers = [lines, *(handler for handler in root.handlers if not isinstance(handler, _LineHandler))]
    with _library_warnings(lines), _quiet_threads(), stopping.heard(clean_up=remove_temporaries):
        try:
            code = command()
            sys.stdout.flush()
            stopping.check()
            return code
        except KeyboardInterrupt:
            pass
        except Exception as error:
            # On its way through libraries an interrupt may have become another error.
            if not stopping.requested():
                return _failed(error)
        stopping.say_stopped()
        return stopping.EXIT_CODE


@contextmanager
def _library_warnings(lines: "_LineHandler") -> Iterator[None]:
    """What libraries warn of by Python's `warnings` in the form of all other lines, without the place in their code."""

    def show_line(message: Warning | str, *_: object, **__: object) -> None:
        lines.say("warning", str(message))

    usual, warnings.showwarning = warnings.showwarning, show_line
    try:
        yield
    finally:
        warnings.showwarning = usual


@contextmanager
def _quiet_threads() -> Iterator[None]:
    """Threads and destructors that run out of memory say nothing: the main thread says it, or goes on without them."""
    usual_thread, usual_destructor = threading.excepthook, sys.unraisablehook

    def thread_failed(report: threading.ExceptHookArgs) -> None:
        if not issubclass(report.exc_type, MemoryError):
            usual_thread(report)

    def destructor_failed(report: Any) -> None:
        if not isinstance(report.exc_value, MemoryError):
            usual_destructor(report)

    threading.excepthook, sys.unraisablehook = thread_failed, destructor_failed
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = usual_thread, usual_destructor


def replace_closed_streams() -> None:
    """Has what is printed go nowhere where standard output or error was closed (`>&-`) before Python started."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (open to the end, as the stream it stands for)


def _failed(error: Exception) -> int:
    """The exit code for an error, which is raised again where it is no person's mistake and no lack of the system."""
    if isinstance(error, InputError):
        # Further lines are the error's own; a line break within one comes from a file or a name.
        first, *others = map(printable, error.args)
        print("\n  ".join([f"error: {first}", *others]), file=sys.stderr)
        return 2
    if isinstance(error, BrokenPipeError):
        _give_up_stdout()
        return 141
    if _is_lack_of_memory(error):
        reason = printable(str(error).partition("\n")[0] or "an allocation failed", 200)
        print(f"error: not enough memory ({reason}); free some, or raise the limit (ulimit -v)", file=sys.stderr)
        return 2
    if isinstance(error, RuntimeError | AssertionError) and _raised_in(error) == "jax._src.xla_bridge":
        reason = " ".join(str(error).split())[:200] or "no such device was found"
        asked = os.environ.get("JAX_PLATFORMS") or "nothing"
        print(f"error: JAX cannot start: JAX_PLATFORMS says {asked} ({reason}); unset it or say cpu", file=sys.stderr)
        return 2
    if isinstance(error, OSError):
        # A disk, a pipe or a limit of the system, where no file could be named.
        print(printable(f"error: {error}"), file=sys.stderr)
        _give_up_stdout()
        return 2
    raise error


def _is_lack_of_memory(error: Exception) -> bool:
    # OpenCV, XLA and the start of a thread have no error of their own for it.
    said = str(error)
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, RuntimeError) and ("RESOURCE_EXHAUSTED" in said or said == "can't start new thread"))
        or (type(error).__module__ == "cv2" and "Insufficient memory" in said)
    )


def _raised_in(error: BaseException) -> str:
    """The name of the module that raised an error."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return frames[-1][0].f_globals.get("__name__", "") if frames else ""


def end_without(extra: str, error: ModuleNotFoundError) -> NoReturn:
    """Ends a program whose imports showed that an extra is not installed: one line, exit code 2."""
    package = (error.name or str(error)).partition(".")[0]
    print(f"error: {package} is not installed; this needs pip install 'vasal-jax[{extra}]'", file=sys.stderr)
    sys.exit(2)


def _give_up_stdout() -> None:
    """Where what reads our output went away or is full, nothing more may be written to it, not even at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _PlainColumn(ProgressColumn):
    """A text of each task, without markup: file names may hold square brackets."""

    def __init__(self, text: Callable[[Task], str]):
        super().__init__()
        self._text = text

    def render(self, task: Task) -> Text:
        return Text(printable(self._text(task)))


class _LineHandler(logging.Handler):
    """A line a record, above a progress bar where one is shown. What was said is not said again."""

    def __init__(self, level: int):
        super().__init__(level)
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        fault = []
        if record.exc_info and record.name.startswith("vasal_jax."):  # of this program, which goes on after it
            fault = "".join(traceback.format_exception(*record.exc_info)).splitlines()
        self.say(record.levelname.lower(), record.getMessage(), *fault)

    def say(self, level: str, message: str, *more: str) -> None:
        """Prints a line, and more below it, unless they were printed before."""
        lines = "\n".join(map(printable, (f"{level}: {message}", *more)))
        if lines not in self._said:
            self._said.add(lines)
            console.print(lines, soft_wrap=True, markup=False, highlight=False)
