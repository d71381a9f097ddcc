"""The command line: one subcommand a stage, and what people type. Modules are imported when their command runs."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from zsad import __version__
from zsad.config import load_params
from zsad.errors import UserError
from zsad.io import write_json

OUR_FAULT = 70
IMPORT_HELP = """Check a checkpoint of the authors' own code and write it to data/imported as one of ours.

METHOD: anomalyclip, bayes_pfl, cops, faprompt. Every tensor is checked by name and shape. Files of anomalyclip and
faprompt also hold token embeddings, which are compared with the backbone's; those of bayes_pfl and cops hold none, so
another CLIP of the same widths goes unnoticed. The result works at once:
zsad predict data/imported/X.safetensors PICTURES. In params.yaml, `imported: data/imported/X.safetensors` puts it in a
configuration's place of training, and `source: DATASET` beside it names what it was trained on: it is not evaluated
there, as our own would not be. With one file for each source, write per_source: {DATASET: {imported: ...}}.
"""
Command = Callable[[argparse.Namespace], int | None]


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

    def command(name: str, run: Command, text: str, *positional: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        for argument in positional:
            sub.add_argument(argument)
        sub.set_defaults(run=run)
        return sub

    command("weights", _weights, "prepare the frozen CLIP `backbones.KEY`", "key")
    fetch = command("fetch", _fetch, "bring the raw data of a dataset, or the archives of all published ones")
    fetch.add_argument("dataset", nargs="?", help="key of params.yaml, or id of a published set")
    fetch.add_argument("--all", action="store_true", help="the archives of every published set")
    fetch.add_argument("--dry-run", action="store_true", help="with --all: say what would be done, open no connection")
    fetch.add_argument(
        "--accept-licence",
        dest="accepted",
        action="append",
        default=[],
        metavar="ID",
        help="you accept the licence of this published set; kept in data/accepted_licences.yaml; may be repeated",
    )
    command("index", _index, "build a dataset's manifest and report what is in it", "dataset")
    command("datasets", _datasets, "the datasets of params.yaml and what of them is on disk")
    command("code", _code, "write the digest of a configuration's method", "key")
    train = command("train", _train, "train a configuration on an auxiliary source, all seeds", "key", "source")
    train.add_argument("--seed", type=int, help="only this seed")
    adapt = command("adapt", _adapt, "adapt a few-shot configuration to a target, all seeds", "key", "dataset")
    adapt.add_argument("--seed", type=int, help="only this seed")
    imports = command(
        "import", _import, "check an official checkpoint and write it to data/imported as one of ours", "method", "file"
    )
    imports.description = IMPORT_HELP
    imports.formatter_class = argparse.RawDescriptionHelpFormatter
    imports.add_argument("--backbone", metavar="KEY", help="of `backbones` (default: `default`, or the only one)")
    imports.add_argument(
        "--set",
        dest="assignments",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the method that official files do not hold, such as pool=3 for cops; may be repeated",
    )
    predict = command("predict", _predict, "score a dataset (KEY DATASET) or your own pictures (MODEL PATH…)")
    predict.add_argument("model", help="key of params.yaml, models:/KEY@champion, or a .safetensors checkpoint")
    predict.add_argument("paths", nargs="+", metavar="path", help="dataset key, or files and folders")
    predict.add_argument("--out", type=Path, default=Path("predictions"), help="where results go (%(default)s)")
    predict.add_argument("--object", help="class name, for learners whose prompts hold one (default: object)")
    predict.add_argument("--category", help="of a few-shot model: which of its categories the pictures are of")
    command("score", _score, "predictions + masks → metrics/cells/KEY/DATASET.json", "key", "dataset")
    command("aggregate", _aggregate, "cells → leaderboard and summary")
    command("register", _register, "put strict configurations into the MLflow model registry")
    command("models", _models, "registered models, versions and aliases")
    command("promote", _promote, "move alias `champion` to the challenger, if the gate passes", "key").add_argument(
        "--against", default="origin/main", metavar="REV", help="git revision to compare with (%(default)s)"
    )
    track = command("track", _track, "replay the training journals and rebuild MLflow from files")
    track.add_argument("action", choices=["sync"])
    gate = command("gate", _gate, "compare metrics with a git revision: passed 0, regressed 1, cannot compare 2")
    gate.add_argument("--against", default="origin/main", metavar="REV", help="git revision (%(default)s)")
    gate.add_argument("--json", type=Path, metavar="FILE", help="also write the verdict as JSON")
    profile = command("profile", _profile, "overlay a profile on params.yaml; comments stay")
    profile.add_argument("action", choices=["apply"])
    profile.add_argument("file", type=Path)
    profile.add_argument("assignments", nargs="*", metavar="KEY=VALUE")
    return parser


def _weights(arguments: argparse.Namespace) -> None:
    from zsad.clip.weights import prepare
    from zsad.code import WEIGHTS

    backbone = load_params().backbone(arguments.key)
    prepare(backbone, WEIGHTS / arguments.key)


def _fetch(arguments: argparse.Namespace) -> None:
    from zsad.datasets.archives import accept_all, bring_all, plans
    from zsad.datasets.fetch import fetch, published_params
    from zsad.datasets.official import official_entry

    if bool(arguments.dataset) == arguments.all:
        raise UserError("fetch: name one dataset, or give --all")
    if arguments.dry_run and not arguments.all:
        raise UserError("fetch: --dry-run goes with --all")
    if arguments.dry_run:
        print(*plans(), sep="\n")
        return
    datasets = load_params().datasets
    if arguments.accepted:
        accept_all(arguments.accepted, dict(official_entry(k, b) for k, b in datasets.items() if b.kind == "official"))
    if arguments.all:
        for line in bring_all():
            print(line)
        return
    fetch(arguments.dataset, datasets.get(arguments.dataset) or published_params(arguments.dataset))


def _index(arguments: argparse.Namespace) -> None:
    from zsad.datasets.describe import report
    from zsad.datasets.index import index

    params = load_params()
    print(*report(params, index(arguments.dataset, params.dataset(arguments.dataset))), sep="\n")


def _datasets(_: argparse.Namespace) -> None:
    from zsad.datasets.describe import describe

    _print_table([vars(row) for row in describe(load_params())])


def _code(arguments: argparse.Namespace) -> None:
    from zsad.code import write_code

    write_code(load_params(), arguments.key)


def _train(arguments: argparse.Namespace) -> None:
    from zsad.train import train

    _journalled(train, arguments.key, arguments.source, arguments.seed)


def _adapt(arguments: argparse.Namespace) -> None:
    from zsad.adapt import adapt

    _journalled(adapt, arguments.key, arguments.dataset, arguments.seed)


def _journalled(run: Callable[..., bool], key: str, source: str, seed: int | None) -> None:
    """Train or adapt, with a journal of it that is sent to MLflow in the end."""
    from zsad import journal, tracking

    path = journal.journal_path(key, source)
    log = journal.Journal(path)

    def report(event: str, **fields: Any) -> None:
        log.append(event, **fields, **({"tags": journal.lineage()} if event == "start" else {}))
        log.append("system", **journal.system_sample())

    if run(load_params(), key, source, report, None if seed is None else [seed]):
        tracking.send(path)


def _import(arguments: argparse.Namespace) -> None:
    from zsad.importing import import_official

    params = load_params()
    done = import_official(params, arguments.method, Path(arguments.file), arguments.backbone, arguments.assignments)
    header = done.header
    settings = ", ".join(f"{name} {value}" for name, value in sorted(header.settings.items()))
    print(f"{done.path} written: {done.tensors} tensors, {done.values:,} values of {arguments.file}")
    print(f"settings: {settings}")
    if done.assumed:
        print(f"ASSUMED: {done.assumed}")
    block = f"{header.method}_official: {{method: {header.method}, imported: {done.path}, source: DATASET}}"
    print(f"to evaluate it, in params.yaml under `learners`: {block}")
    print("DATASET is the one of `sources` that these weights were trained on; they are not evaluated there")


def _predict(arguments: argparse.Namespace) -> None:
    if not arguments.model.startswith("models:/") and not arguments.model.endswith(".safetensors"):
        return _predict_stage(arguments)
    from zsad import model_registry
    from zsad.predictor import load_predictor, predict_paths

    registered = arguments.model.startswith("models:/")
    checkpoint = model_registry.resolve(arguments.model) if registered else Path(arguments.model)
    paths = [Path(path) for path in arguments.paths]
    predictor = load_predictor(checkpoint)
    failed = predict_paths(predictor, paths, arguments.out, arguments.object, arguments.category)
    print(f"{arguments.out / 'scores.csv'} written")
    if failed:
        raise UserError(f"{failed} pictures could not be read; their rows in {arguments.out}/scores.csv say why")
    return None


def _predict_stage(arguments: argparse.Namespace) -> None:
    from zsad.cells import skip_not_applicable
    from zsad.progress import log

    params = load_params()
    if arguments.model not in params.configurations and len(arguments.paths) == 1:
        params.configuration(arguments.model)  # says what there is
    if len(arguments.paths) != 1:
        raise UserError(f"{arguments.model}: is a key of params.yaml and takes one dataset; pictures need a model")
    dataset = arguments.paths[0]
    params.dataset(dataset)
    if reason := skip_not_applicable(params, arguments.model, dataset):
        log(f"nothing to predict: {reason}")
        return
    from zsad.predict import predict_dataset
    from zsad.training_cell import choose_device

    predict_dataset(params, arguments.model, dataset, choose_device(params))


def _score(arguments: argparse.Namespace) -> None:
    from zsad.score import score_cell

    score_cell(load_params(), arguments.key, arguments.dataset)


def _aggregate(_: argparse.Namespace) -> None:
    from zsad.aggregate import aggregate

    aggregate(load_params())


def _register(_: argparse.Namespace) -> None:
    from zsad.model_registry import register

    params = load_params()
    for key, receipt in register(params).items():
        print(f"{key}: registered, {'trained on' if key in params.learners else 'adapted to'} {receipt['source']}")


def _models(_: argparse.Namespace) -> None:
    from zsad.model_registry import list_models

    rows = [{**row, "aliases": " ".join(row["aliases"]), **row["mean"]} for row in list_models()]
    _print_table([{name: value for name, value in row.items() if name != "mean"} for row in rows])


def _promote(arguments: argparse.Namespace) -> int:
    from zsad.gate import gate
    from zsad.model_registry import promote

    verdict = gate(load_params(), arguments.against)
    if verdict.exit_code:
        print(verdict.markdown)
        print(f"zsad: {arguments.key} is not promoted: the gate says {verdict.status}", file=sys.stderr)
        return int(verdict.exit_code)
    print(promote(arguments.key))
    return 0


def _track(_: argparse.Namespace) -> None:
    from zsad.model_registry import RECEIPT, register
    from zsad.tracking import sync

    params = load_params()
    print(", ".join(f"{count} {name}" for name, count in sync(params).items()))
    if RECEIPT.is_file():  # what was registered before is registered again, in case the store is a new one
        print(f"registered: {', '.join(register(params))}")


def _gate(arguments: argparse.Namespace) -> int:
    from zsad.gate import gate

    verdict = gate(load_params(), arguments.against)
    print(verdict.markdown)
    if arguments.json:
        write_json(arguments.json, verdict.as_dict())
    return int(verdict.exit_code)


def _profile(arguments: argparse.Namespace) -> None:
    from zsad.profiles import apply_profile

    apply_profile(arguments.file, arguments.assignments)


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    from tabulate import tabulate

    print(tabulate(rows, headers="keys") if rows else "none")


if __name__ == "__main__":
    sys.exit(main())
