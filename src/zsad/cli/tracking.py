"""`zsad register`, `models`, `promote`, `track`: the MLflow model registry and runs."""

import argparse
import sys

from zsad.cli.parsing import Commands, add_command, print_table


def add_commands(commands: Commands) -> None:
    """The commands of tracking."""
    add_command(commands, "register", _register, "put strict configurations into the MLflow model registry")
    add_command(commands, "models", _models, "registered models, versions and aliases")
    promote = add_command(
        commands, "promote", _promote, "move alias `champion` to the challenger, if the gate passes", "key"
    )
    promote.add_argument(
        "--against", default="origin/main", metavar="REV", help="git revision to compare with (%(default)s)"
    )
    promote.add_argument(
        "--rollback",
        nargs="?",
        const="",
        metavar="VERSION",
        help="instead, whatever the gate says: undo the latest promotion, or back to a VERSION that was champion",
    )
    track = add_command(commands, "track", _track, "replay the training journals and rebuild MLflow from files")
    track.add_argument("action", choices=["sync"])


def _register(_: argparse.Namespace) -> None:
    from zsad.config.params import load_params
    from zsad.tracking.register import register

    params = load_params()
    for key, receipt in register(params).items():
        print(f"{key}: registered, {'trained on' if key in params.learners else 'adapted to'} {receipt['source']}")
    for key in params.ensembles:
        print(f"{key}: an ensemble has no model to register")


def _models(_: argparse.Namespace) -> None:
    from zsad.tracking.versions import list_models

    print_table([model.row for model in list_models()])


def _promote(arguments: argparse.Namespace) -> int:
    if arguments.rollback is not None:
        from zsad.tracking.rollback import roll_back

        print(roll_back(arguments.key, arguments.rollback))
        return 0
    from zsad.config.params import load_params
    from zsad.evaluation.gate import gate
    from zsad.tracking.promotions import promote

    verdict = gate(load_params(), arguments.against)
    if verdict.exit_code:
        print(verdict.markdown)
        print(f"zsad: {arguments.key} is not promoted: the gate says {verdict.status}", file=sys.stderr)
        return int(verdict.exit_code)
    print(promote(arguments.key))
    return 0


def _track(_: argparse.Namespace) -> None:
    from zsad.config.params import load_params
    from zsad.tracking.register import rebuild

    print(*rebuild(load_params()), sep="\n")
