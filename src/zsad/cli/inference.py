"""`zsad predict`: a dataset as a stage, or people's own pictures; `zsad combine`: an ensemble of such stages."""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsad.cli.parsing import Commands, add_command, stage_params
from zsad.common.errors import UserError
from zsad.common.progress import log

if TYPE_CHECKING:
    from zsad.inference.model import Predictor
    from zsad.inference.pictures.summary import Summary

OF_PICTURES = {  # options of `zsad predict MODEL PATH…` alone, and what says the same of a dataset
    "object": "a dataset's class names stand under its `classes` in params.yaml",
    "category": "a dataset's pictures have theirs; a model is models:/KEY@champion, or a .safetensors file",
    "calibration": "metrics of a dataset need no threshold",
    "states": "write `states` among the settings of the configuration in params.yaml",
    "device": "write `device` in params.yaml",
    "precision": "write `precision` in params.yaml",
    **dict.fromkeys(
        ("format", "scale", "pixel_threshold", "bits", "batch_size", "workers", "watch", "anew", "engine", "maps"),
        "a model is models:/KEY@champion, or a .safetensors file",
    ),
}


def add_commands(commands: Commands) -> None:
    """The commands of inference."""
    add_command(commands, "combine", _combine, "of which predictions an ensemble is the mean, to data/ensembles", "key")
    predict = add_command(
        commands, "predict", _predict, "score a dataset (KEY DATASET) or your own pictures (MODEL PATH…)"
    )
    predict.add_argument(
        "model",
        help="key of params.yaml, models:/KEY@champion, runs:/RUN, a .safetensors checkpoint or an exported file",
    )
    predict.add_argument(
        "paths",
        nargs="+",
        metavar="path",
        help="dataset key; or files, folders, quoted patterns, `-`: a list on stdin; with --engine ray addresses",
    )
    predict.add_argument("--out", default="predictions", help="where results go (%(default)s)")
    predict.add_argument("--object", help="class name, for learners whose prompts hold one (default: object)")
    predict.add_argument("--category", help="of a few-shot model: which of its categories the pictures are of")
    predict.add_argument(
        "--calibration", metavar="NAME", help="of the model (`zsad calibrate`): a threshold, so labels"
    )
    predict.add_argument(
        "--states", type=Path, metavar="FILE", help="own words for hand-written prompts (clip_zero, winclip): YAML"
    )
    _add_people(predict.add_argument_group("of your own pictures"))


def _add_people(group: Any) -> None:
    group.add_argument("--format", metavar="F", help="of the table: csv, jsonl or parquet (csv)")
    group.add_argument("--watch", action="store_true", default=None, help="go on with what comes into the folders")
    group.add_argument("--anew", action="store_true", default=None, help="replace earlier results in --out")
    group.add_argument("--scale", type=float, nargs=2, metavar=("LOW", "HIGH"), help="map values that colours span")
    group.add_argument("--pixel-threshold", type=float, metavar="X", help="regions are where the map is above it")
    group.add_argument("--bits", type=int, metavar="N", help="how many are in use in pictures of 16 bits a channel")
    group.add_argument("--batch-size", type=int, metavar="N", help="pictures at once through the model (8)")
    group.add_argument("--workers", type=int, metavar="N", help="threads that decode and write (one a core, 8 at most)")
    group.add_argument("--device", metavar="D", help="auto, cpu or cuda (auto)")
    group.add_argument("--precision", metavar="P", help="of the image tower: fp32, bf16, or on a GPU fp16 (fp32)")
    group.add_argument("--engine", choices=["ray"], help="on a cluster, from and to folders or addresses (s3://…)")
    group.add_argument("--maps", action="store_true", default=None, help="with --engine ray: also write what is seen")


def _combine(arguments: argparse.Namespace) -> None:
    from zsad.config.params import load_params
    from zsad.inference.combine import combine

    combine(load_params(), arguments.key)


def _predict(arguments: argparse.Namespace) -> None:
    from zsad.tracking.loading import is_model

    run = _predict_pictures if is_model(arguments.model) else _predict_dataset
    run(arguments)


def _predict_pictures(arguments: argparse.Namespace) -> None:
    from zsad.inference.pictures.options import Options

    if arguments.engine:
        _told(_predict_places(arguments))
        return
    if arguments.maps or "://" in arguments.out:
        option = "--maps" if arguments.maps else f"--out {arguments.out}"
        raise UserError(f"{option}: wants --engine ray; without it heatmaps are written always, and into a folder")
    options = Options(arguments.object, arguments.category, **_asked(arguments))
    options.check(arguments.paths)  # a slip shows before the model is loaded
    from zsad.inference.pictures.run import predict_pictures

    predictor = _load(arguments.model, arguments.device, **_how(arguments))
    out = Path(arguments.out)
    _told(predict_pictures(predictor, arguments.paths, out, options, _words(arguments.states)), options.watch)


def _predict_places(arguments: argparse.Namespace) -> "Summary":
    from zsad.common.cluster import check_installed
    from zsad.inference.pictures.options import Options

    check_installed()
    if arguments.format not in (None, "parquet"):
        raise UserError(f"--format {arguments.format}: --engine ray writes parts, which are parquet; leave it out")
    options = Options(arguments.object, arguments.category, **{**_asked(arguments), "form": "parquet"})
    from zsad.inference.buckets.run import predict_places

    load = partial(_load, arguments.model, arguments.device, **_how(arguments))
    told = _words(arguments.states)
    maps = bool(arguments.maps)
    return predict_places(load, arguments.paths, arguments.out, options, told, arguments.workers, maps)


def _how(arguments: argparse.Namespace) -> dict[str, Any]:
    """What beside its place decides what a model is."""
    asked = {"states": arguments.states, "calibration": arguments.calibration}
    return {**asked, "precision": arguments.precision or "fp32"}


def _load(model: str, asked: str | None, device: str | None = None, **how: Any) -> "Predictor":
    from zsad.tracking.loading import load

    return load(model, device or asked or "auto", **how)


def _told(summary: "Summary", is_watching: bool = False) -> None:
    print(summary.told)
    if summary.failed and not is_watching:
        raise UserError(summary.complaint)
    if summary.failed:
        log(summary.complaint)


def _asked(arguments: argparse.Namespace) -> dict[str, Any]:
    """Options under their names in `Options`; what is not asked keeps its default there."""
    names = ("scale", "pixel_threshold", "bits", "batch_size", "workers", "watch", "anew")
    told = {"form": arguments.format, **{name: getattr(arguments, name) for name in names}}
    return {name: value for name, value in told.items() if value is not None}


def _words(states: Path | None) -> dict[str, str | None]:
    """What tells own words from others."""
    from zsad.common.io import file_sha256

    return {"states": file_sha256(states) if states else None}


def _predict_dataset(arguments: argparse.Namespace) -> None:
    for option, remedy in OF_PICTURES.items():
        if getattr(arguments, option) is not None:
            name = option.replace("_", "-")
            raise UserError(f"--{name}: is for your own pictures, not for {arguments.model}; {remedy}")
    params, (dataset, *more) = stage_params(), arguments.paths
    from zsad.inference.predict import predict

    if more and arguments.model in params.rows:
        raise UserError(f"{arguments.model}: is a key of params.yaml and takes one dataset; pictures need a model")
    predict(params, arguments.model, dataset)
