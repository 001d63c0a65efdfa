"""The folder of a run: its config, checked before the run goes on, and shown."""

import json
from pathlib import Path
from typing import Any

from rich.table import Table

from vasal_jax import __version__
from vasal_jax.errors import InputError
from vasal_jax.system.files import naming_file_errors, replacing
from vasal_jax.system.reading import read_json
from vasal_jax.system.terminal import show
from vasal_jax.system.text import printable

CONFIG_FILE = "config.json"


def enter(folder: Path, config: dict[str, Any], learning: dict[str, Any]) -> None:
    """Makes the folder of a run and saves its config there.

    Args:
      folder: of the run, new or one to go on with.
      config: all settings, as nested dicts.
      learning: those settings that the trained weights depend on.

    Raises:
      InputError: the folder holds a run with another `learning`, its config is damaged, or it cannot be written.
    """
    path = folder / CONFIG_FILE
    learning = json.loads(json.dumps(learning))  # tuples as the lists that they become in the file
    with naming_file_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if path.exists():
        _check_same(path, learning)
    content = {"version": __version__, "learning": learning, "config": config}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, default=str) + "\n")


def print_settings(settings: dict[str, Any]) -> None:
    """Prints nested settings as a table, each under its dotted name."""
    table = Table("setting", "value", title="config", title_justify="left", box=None)
    for name, value in _flat(settings).items():
        table.add_row(name, printable(value))
    show(table)


def _check_same(path: Path, now: dict[str, Any]) -> None:
    try:
        before, now = _flat(read_json(path, "the config of a run", 2**20)["learning"]), _flat(now)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{path}: damaged, expected the config of a run; choose another --run") from None
    changed = [f"{n} was {before.get(n)}, is {now.get(n)}" for n in before | now if before.get(n) != now.get(n)]
    if changed:
        raise InputError(
            f"{path.parent}: holds a run with another config ({'; '.join(changed)}); choose another --run or the same"
        )


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, by dotted name as on the command line."""
    flat = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
