"""The entry point: all commands, and what becomes of errors."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from zsad import __version__
from zsad.cli import (
    calibration,
    clip,
    config,
    datasets,
    evaluation,
    export,
    inference,
    pipeline,
    tracking,
    training,
)
from zsad.common.errors import OUR_FAULT, UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 fine, 1 only `gate`'s regressed, 2 the user's input, 70 our fault."""
    parsed = _parser().parse_args(arguments)
    try:
        return parsed.run(parsed) or 0
    except UserError as error:
        print(f"zsad: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(
            "zsad: interrupted; nothing half-written is left, and training goes on after its last epoch",
            file=sys.stderr,
        )
        return 130
    except Exception:
        traceback.print_exc()
        print(f"zsad {__version__}: this is a fault of zsad, not of your input; please report it", file=sys.stderr)
        return OUR_FAULT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="zsad", description="Zero-shot anomaly detection with learned CLIP prompts.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for room in (config, datasets, clip, training, inference, calibration, export, evaluation, tracking, pipeline):
        room.add_commands(commands)
    return parser
