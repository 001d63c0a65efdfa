"""Scores on a dataset: `python evaluate.py DATASET --weights W`, `python evaluate.py compare A.json B.json`.

`python evaluate.py --help` and `python evaluate.py compare --help` list the options.
"""

from vasal_jax.system import address_space

if __name__ == "__main__":
    address_space.end_if_starved()

import sys

import tyro

from data.datasets import open_dataset
from vasal_jax.commands.evaluate import CompareArgs, EvaluateArgs, Split, compare, evaluate
from vasal_jax.system.terminal import run


def open_split(args: EvaluateArgs) -> Split:
    """The videos that the arguments name. Raises `InputError`."""
    dataset, splits = open_dataset(args.folder, args.dataset, args.split_rule)
    training = [record for record in dataset.records if splits.split_of(record.id) == "training"]
    return Split(dataset.name, splits.description, splits.select(dataset.records, args.split), training)


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    words = sys.argv[1:] if args is None else args
    config = (tyro.conf.FlagCreatePairsOff,)

    def command() -> int:
        if words[:1] == ["compare"]:
            return compare(tyro.cli(CompareArgs, prog="evaluate.py compare", args=words[1:], config=config))
        parsed = tyro.cli(EvaluateArgs, prog="evaluate.py", args=words, config=config)
        parsed.check()  # before a dataset is read, which may take minutes
        return evaluate(parsed, open_split(parsed))

    return run(command)


if __name__ == "__main__":
    sys.exit(main())
