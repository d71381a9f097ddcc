"""`zsad weights`: the frozen CLIPs."""

import argparse

from zsad.cli.parsing import Commands, add_command


def add_commands(commands: Commands) -> None:
    """The commands of frozen CLIPs."""
    add_command(commands, "weights", _weights, "prepare the frozen CLIP `backbones.KEY`", "key")


def _weights(arguments: argparse.Namespace) -> None:
    from zsad.clip.weights import WEIGHTS, prepare
    from zsad.config.params import load_params

    prepare(load_params().backbone(arguments.key), WEIGHTS / arguments.key)
