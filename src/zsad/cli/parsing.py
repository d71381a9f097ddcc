"""What the commands share: how one is added to the parser, parameters of a stage, and tables."""

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zsad.config.params import Params

Commands = Any  # argparse's own type of what `add_subparsers` gives has no public name
Run = Callable[[argparse.Namespace], int | None]


def add_command(commands: Commands, name: str, run: Run, text: str, *positional: str) -> argparse.ArgumentParser:
    """The parser of one command, to add options to; `run` gives an exit code, or None for 0."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    for argument in positional:
        parser.add_argument(argument)
    parser.set_defaults(run=run)
    return parser


def stage_params() -> "Params":
    """params.yaml, for a command that computes: from here on this process computes as the file says."""
    from zsad.common.cpu import settle
    from zsad.config.params import load_params

    params = load_params()
    settle(params.deterministic, params.threads)
    return params


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Rows of equal keys under a heading; `none` when there are none."""
    from tabulate import tabulate

    print(tabulate(rows, headers="keys") if rows else "none")
