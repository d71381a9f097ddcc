"""`zsad export`: one file for a runtime."""

import argparse
from pathlib import Path

from zsad.cli.parsing import Commands, add_command
from zsad.inference.export.kinds import KINDS, PRECISIONS


def add_commands(commands: Commands) -> None:
    """The command of exporting."""
    export = add_command(commands, "export", _export, "one file for a runtime, compared with the model at once")
    export.add_argument("model", help="models:/KEY@champion, runs:/RUN, or a .safetensors checkpoint")
    export.add_argument("--to", required=True, choices=[kind.name for kind in KINDS], help="what is to run it")
    ends = ", ".join(f"{kind.suffix} for {kind.name}" for kind in KINDS)
    export.add_argument("--out", type=Path, required=True, metavar="FILE", help=f"ends with {ends}")
    export.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of weights (%(default)s)")
    export.add_argument("--object", help="class name in prompts that hold one (default: object); fixed in the file")
    export.add_argument("--category", help="of a few-shot model: the one that the file is of")
    export.add_argument("--states", type=Path, metavar="FILE", help="own words for hand-written prompts: YAML")
    export.add_argument(
        "--calibration", action="append", metavar="NAME", help="that goes in; may be repeated (default: all that fit)"
    )
    export.add_argument("--pictures", nargs="+", metavar="PATH", help="to compare on (default: drawn ones)")


def _export(arguments: argparse.Namespace) -> None:
    from zsad.inference.export.export import Wanted, export
    from zsad.inference.pictures.opening import open_picture
    from zsad.inference.pictures.sources import named_sources
    from zsad.learners.shared.states import read_states
    from zsad.tracking.calibrations import of_model
    from zsad.tracking.loading import find_checkpoint

    checkpoint = find_checkpoint(arguments.model)
    wanted = Wanted(
        to=arguments.to,
        precision=arguments.precision,
        category=arguments.category,
        prompt_name=arguments.object,
        states=arguments.states and read_states(arguments.states),
        calibrations=of_model(arguments.model, checkpoint),
        names=arguments.calibration,
    )
    sources = named_sources(arguments.pictures, arguments.out) if arguments.pictures else ()
    report = export(checkpoint, arguments.out, wanted, [open_picture(source.file) for source in sources])
    measured = report.measured
    print(f"{', '.join(map(str, report.files))}: {report.bytes / 2**20:.1f} MiB, {arguments.precision}")
    differs = f"score {measured.score:.1e}, map {measured.map:.1e}"
    print(f"largest difference from PyTorch, {measured.pictures} pictures: {differs}")
    print(f"one picture: {measured.ms:.1f} ms, PyTorch {measured.ms_checkpoint:.1f} ms")
    for name, why in report.left_out.items():
        print(f"calibration {name} left out: {why}")
