"""`zsad predict`: a dataset as a stage, or people's own pictures; `zsad combine`: an ensemble of such stages."""

import argparse
from pathlib import Path

from zsad.cli.parsing import Commands, add_command, stage_params
from zsad.common.errors import UserError

OF_PICTURES = {  # options of `zsad predict MODEL PATH…` alone, and what says the same of a dataset
    "object": "a dataset's class names stand under its `classes` in params.yaml",
    "category": "a dataset's pictures have theirs; a model is models:/KEY@champion, or a .safetensors file",
    "calibration": "metrics of a dataset need no threshold",
    "states": "write `states` among the settings of the configuration in params.yaml",
}


def add_commands(commands: Commands) -> None:
    """The commands of inference."""
    add_command(commands, "combine", _combine, "of which predictions an ensemble is the mean, to data/ensembles", "key")
    predict = add_command(
        commands, "predict", _predict, "score a dataset (KEY DATASET) or your own pictures (MODEL PATH…)"
    )
    predict.add_argument(
        "model", help="key of params.yaml, models:/KEY@champion, runs:/RUN, or a .safetensors checkpoint"
    )
    predict.add_argument("paths", nargs="+", metavar="path", help="dataset key, or files and folders")
    predict.add_argument("--out", type=Path, default=Path("predictions"), help="where results go (%(default)s)")
    predict.add_argument("--object", help="class name, for learners whose prompts hold one (default: object)")
    predict.add_argument("--category", help="of a few-shot model: which of its categories the pictures are of")
    predict.add_argument(
        "--calibration", metavar="NAME", help="of the model (`zsad calibrate`): a threshold, so labels"
    )
    predict.add_argument(
        "--states", type=Path, metavar="FILE", help="own words for hand-written prompts (clip_zero, winclip): YAML"
    )


def _combine(arguments: argparse.Namespace) -> None:
    from zsad.config.params import load_params
    from zsad.inference.combine import combine

    combine(load_params(), arguments.key)


def _predict(arguments: argparse.Namespace) -> None:
    from zsad.tracking.loading import is_model

    run = _predict_pictures if is_model(arguments.model) else _predict_dataset
    run(arguments)


def _predict_pictures(arguments: argparse.Namespace) -> None:
    from zsad.inference.folder import predict_paths
    from zsad.tracking.loading import load

    paths, out = [Path(path) for path in arguments.paths], arguments.out
    predictor = load(arguments.model, states=arguments.states, calibration=arguments.calibration)
    failed = predict_paths(predictor, paths, out, arguments.object, arguments.category)
    print(f"{out / 'scores.csv'} written")
    if failed:
        raise UserError(f"{failed} pictures could not be read; their rows in {out}/scores.csv say why")


def _predict_dataset(arguments: argparse.Namespace) -> None:
    for option, remedy in OF_PICTURES.items():
        if getattr(arguments, option) is not None:
            raise UserError(f"--{option}: is for your own pictures, not for {arguments.model}; {remedy}")
    params, (dataset, *more) = stage_params(), arguments.paths
    from zsad.inference.predict import predict

    if more and arguments.model in params.rows:
        raise UserError(f"{arguments.model}: is a key of params.yaml and takes one dataset; pictures need a model")
    predict(params, arguments.model, dataset)
