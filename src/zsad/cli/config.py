"""`zsad profile`: params.yaml."""

import argparse
from pathlib import Path

from zsad.cli.parsing import Commands, add_command


def add_commands(commands: Commands) -> None:
    """The commands of params.yaml."""
    profile = add_command(commands, "profile", _profile, "overlay a profile on params.yaml; comments stay")
    profile.add_argument("action", choices=["apply"])
    profile.add_argument("file", type=Path)
    profile.add_argument("assignments", nargs="*", metavar="KEY=VALUE")


def _profile(arguments: argparse.Namespace) -> None:
    from zsad.config.profiles import apply_profile

    apply_profile(arguments.file, arguments.assignments)
