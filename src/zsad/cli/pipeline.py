"""`zsad code`, `backbones`, `leftovers`: what the pipeline itself needs."""

import argparse

from zsad.cli.parsing import Commands, add_command


def add_commands(commands: Commands) -> None:
    """The commands of the pipeline."""
    add_command(commands, "code", _code, "digests of what each stage's code is, to data/code")
    add_command(commands, "backbones", _backbones, "which frozen CLIP each configuration runs on, to data/backbones")
    leftovers = add_command(
        commands, "leftovers", _leftovers, "files of keys that params.yaml no longer has; nothing is deleted"
    )
    leftovers.add_argument("--remove", action="store_true", help="delete them, training journals included")


def _code(_: argparse.Namespace) -> None:
    from zsad.config.params import load_params
    from zsad.pipeline.stage_code import write_code

    write_code(load_params())


def _backbones(_: argparse.Namespace) -> None:
    from zsad.config.params import load_params
    from zsad.pipeline.backbones import write_backbones

    write_backbones(load_params())


def _leftovers(arguments: argparse.Namespace) -> None:
    from zsad.config.params import load_params
    from zsad.pipeline.leftovers import leftovers, remove

    found = leftovers(load_params())
    print("\n".join(map(str, found)) or "nothing is left of keys that params.yaml does not have")
    if arguments.remove:
        remove(found)
    elif found:
        print("zsad leftovers --remove deletes them")
