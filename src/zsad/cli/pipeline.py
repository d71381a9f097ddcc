"""`zsad repro`, `code`, `backbones`, `leftovers`, `cost`: the pipeline as a whole; `doctor`, `bench`: this machine."""

import argparse
import json
from pathlib import Path

from zsad.cli.parsing import Commands, add_command, print_table, stage_params


def add_commands(commands: Commands) -> None:
    """The commands of the pipeline."""
    repro = add_command(commands, "repro", _repro, "what `dvc repro` would run, ready stages side by side")
    repro.add_argument("targets", nargs="*", metavar="TARGET", help="stages, as for dvc repro (default: all)")
    repro.add_argument("-j", "--jobs", type=int, metavar="N", help="at once (default: one a GPU, else one a core)")
    repro.add_argument("--keep-going", action="store_true", help="after a failure, run what does not depend on it")
    repro.add_argument("--engine", choices=["ray"], help="on a Ray cluster whose machines share this folder")
    repro.add_argument("--dry-run", action="store_true", help="only say what is out of date")
    add_command(commands, "code", _code, "digests of what each stage's code is, to data/code")
    add_command(commands, "backbones", _backbones, "which frozen CLIP each configuration runs on, to data/backbones")
    leftovers = add_command(
        commands, "leftovers", _leftovers, "files of keys that params.yaml no longer has; nothing is deleted"
    )
    leftovers.add_argument("--features", action="store_true", help="and the frozen features that cells share")
    leftovers.add_argument("--remove", action="store_true", help="delete them, training journals included")
    cost = add_command(
        commands, "cost", _cost, "work, time, memory and disk of params.yaml, counted before anything runs"
    )
    cost.add_argument("keys", nargs="*", metavar="KEY", help="configurations of params.yaml (default: all)")
    cost.add_argument("--tflops", type=float, metavar="N", help="10¹² operations a second (default: measured here)")
    cost.add_argument("--json", type=Path, metavar="FILE", help="write the cells there as well")
    doctor = add_command(commands, "doctor", _doctor, "what is missing on this machine, and the command that mends it")
    doctor.add_argument("--json", action="store_true", help="as JSON")
    doctor.add_argument("--online", action="store_true", help="also ask DVC's remote whether it answers")
    bench = add_command(commands, "bench", _bench, "time the image tower, predictions and training steps; a table")
    bench.add_argument("keys", nargs="*", metavar="KEY", help="configurations of params.yaml (default: all)")
    bench.add_argument("--batch", type=int, nargs="+", metavar="N", help="pictures at once (default: 1 8)")
    bench.add_argument("--rounds", type=int, default=7, metavar="N", help="runs of each, in turn (%(default)s)")
    bench.add_argument(
        "--against",
        nargs="+",
        metavar="METHOD=DIR",
        help="in place of all that: official codes in these folders beside ours; --rounds: epochs of a training",
    )
    bench.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")


def _repro(arguments: argparse.Namespace) -> int:
    from zsad.cli.main import main
    from zsad.config.params import load_params
    from zsad.pipeline.grid.loop import plan
    from zsad.pipeline.grid.repro import repro
    from zsad.pipeline.grid.stages import Stages

    params = load_params()
    if not arguments.dry_run:
        on_ray = arguments.engine == "ray"
        return repro(params, main, arguments.targets, arguments.jobs, arguments.keep_going, on_ray)
    found = plan(Stages(arguments.targets))
    print("\n".join(f"{name}: {why}" for name, why in found.items()) or "everything is up to date")
    return 0


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

    found = leftovers(load_params(), arguments.features)
    print("\n".join(map(str, found)) or "nothing is left of keys that params.yaml does not have")
    if arguments.remove:
        remove(found)
    elif found:
        print(f"zsad leftovers {'--features ' if arguments.features else ''}--remove deletes them")


def _doctor(arguments: argparse.Namespace) -> int:
    from zsad.common.errors import UserError
    from zsad.pipeline.doctor.examine import examine

    found = list(examine(arguments.online))
    if arguments.json:
        print(json.dumps([vars(finding) for finding in found], indent=1, ensure_ascii=False))
    else:
        print_table([finding.row for finding in found])
    return UserError.exit_code if any(finding.level == "missing" for finding in found) else 0


def _cost(arguments: argparse.Namespace) -> None:
    from zsad.common.errors import UserError

    if arguments.tflops is not None and not arguments.tflops > 0:
        raise UserError(f"--tflops {arguments.tflops}: more than 0")
    params = stage_params()
    from zsad.common.io import write_json
    from zsad.pipeline.cost.expected import expected
    from zsad.pipeline.cost.pace import given, measured

    first = params.configuration((arguments.keys or params.configurations)[0])
    pace = given(arguments.tflops) if arguments.tflops else measured(params, first.backbone_key)
    found = expected(params, arguments.keys, pace)
    if arguments.json:
        write_json(arguments.json, found.as_dict())
    print(found.markdown)


def _bench(arguments: argparse.Namespace) -> None:
    from zsad.common.errors import UserError

    batches = [1, 8] if arguments.batch is None else arguments.batch
    for option, value in (("batch", min(batches)), ("rounds", arguments.rounds)):
        if value < 1:
            raise UserError(f"--{option} {value}: at least 1")
    if arguments.against:
        _bench_against(arguments)
        return
    params = stage_params()
    from zsad.common.io import write_json
    from zsad.pipeline.bench.measure import bench

    found = bench(params, arguments.keys, batches, arguments.rounds)
    if arguments.json:
        write_json(arguments.json, found.as_dict())
    print(found.markdown)


def _bench_against(arguments: argparse.Namespace) -> None:
    from zsad.common.errors import UserError

    if arguments.keys or arguments.batch:
        raise UserError("--against takes no KEY and no --batch: official codes predict one picture at a time")
    if arguments.rounds < 2:
        raise UserError(f"--rounds {arguments.rounds}: --against wants at least 2, for epochs after the first")
    pairs = [text.partition("=") for text in arguments.against]
    if wrong := [method for method, _, folder in pairs if not folder]:
        raise UserError(f"--against {wrong[0]}: expected METHOD=DIR, such as cops=../CoPS")
    params = stage_params()
    from zsad.common.io import write_json
    from zsad.pipeline.bench.against.measure import against, as_markdown

    found = [against(params, method, Path(folder).resolve(), arguments.rounds) for method, _, folder in pairs]
    if arguments.json:
        write_json(arguments.json, [one.as_dict() for one in found])
    print(as_markdown(found))
