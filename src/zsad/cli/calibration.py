"""`zsad calibrate`: a threshold by false-alarm rate, and whether it still holds."""

import argparse
from pathlib import Path

from zsad.cli.parsing import Commands, add_command
from zsad.common.errors import UserError

DEFAULT_FALSE_ALARMS = 0.01


def add_commands(commands: Commands) -> None:
    """The commands of calibration."""
    text = "a threshold for a model, from normal pictures and the share of false alarms to allow"
    calibrate = add_command(commands, "calibrate", _calibrate, text)
    calibrate.add_argument("model", help="models:/KEY@champion, runs:/RUN, or a .safetensors checkpoint")
    calibrate.add_argument("folder", type=Path, help="normal pictures that the model has never seen")
    calibrate.add_argument("--name", required=True, help="of the calibration, such as LINE3")
    calibrate.add_argument(
        "--false-alarms",
        type=float,
        metavar="SHARE",
        help=f"of normal pictures above the threshold ({DEFAULT_FALSE_ALARMS})",
    )
    calibrate.add_argument("--defects", type=Path, metavar="FOLDER", help="anomalous pictures: tell which are missed")
    calibrate.add_argument("--category", help="of a few-shot model: which of its categories the pictures are of")
    calibrate.add_argument("--object", help="class name, for learners whose prompts hold one (default: object)")
    calibrate.add_argument("--replace", action="store_true", help="another calibration of that name")
    calibrate.add_argument(
        "--check", action="store_true", help="instead: do these normal pictures, of today, still fit? 0, or 2 if not"
    )


def _calibrate(arguments: argparse.Namespace) -> None:
    for option in ("false_alarms", "defects", "replace"):
        if arguments.check and getattr(arguments, option) not in (None, False):
            raise UserError(f"--{option.replace('_', '-')}: belongs to a new calibration; --check makes none")
    from zsad.tracking.thresholds import Asked, check, make

    given = (arguments.model, arguments.folder, arguments.name, arguments.category, arguments.object)
    if not arguments.check:
        share = DEFAULT_FALSE_ALARMS if arguments.false_alarms is None else arguments.false_alarms
        for line in make(Asked(*given), share, arguments.defects, arguments.replace):
            print(line)
        return
    drift = check(Asked(*given))
    print(*drift.told, sep="\n")
    if drift.reasons:
        raise UserError(
            f"{arguments.folder}: does not fit calibration {arguments.name}: {'; '.join(drift.reasons)}. Find out what "
            "changed (light, lens, parts), or calibrate again with --replace"
        )
