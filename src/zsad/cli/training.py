"""`zsad train`, `adapt`, `import`: checkpoints."""

import argparse
from pathlib import Path

from zsad.cli.parsing import Commands, add_command, stage_params

IMPORT_HELP = """Check a checkpoint of the authors' own code and write it to data/imported as one of ours.

METHOD: ada_clip, adapt_clip, anomalyclip, april_gan, bayes_pfl, cops, faprompt. Every tensor is checked by name
and shape. Files of adapt_clip, anomalyclip and faprompt also hold token embeddings, which are compared with the
backbone's; those of the others hold none, so another CLIP of the same widths goes unnoticed. The result works at once:
zsad predict data/imported/X.safetensors PICTURES. In params.yaml, `imported: data/imported/X.safetensors` puts it in a
configuration's place of training, and `source: DATASET` beside it names what it was trained on: it is not evaluated
there, as our own would not be. With one file for each source, write per_source: {DATASET: {imported: ...}}.
"""


def add_commands(commands: Commands) -> None:
    """The commands of training."""
    train = add_command(
        commands, "train", _train, "train a configuration on an auxiliary source, all seeds", "key", "source"
    )
    train.add_argument("--seed", type=int, help="only this seed")
    adapt = add_command(commands, "adapt", _adapt, "adapt a few-shot configuration to a target, all seeds", "key")
    adapt.add_argument("dataset", nargs="?", help="default: all datasets, one after the other")
    adapt.add_argument("--seed", type=int, help="only this seed")
    text = "check an official checkpoint and write it to data/imported as one of ours"
    imports = add_command(commands, "import", _import, text, "method", "file")
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


def _train(arguments: argparse.Namespace) -> None:
    params = stage_params()
    from zsad.tracking.recording import recorded
    from zsad.training.train import train

    recorded(train, params, arguments.key, arguments.source, arguments.seed)


def _adapt(arguments: argparse.Namespace) -> None:
    params = stage_params()
    from zsad.tracking.recording import recorded
    from zsad.training.adapt import adapt

    for dataset in [arguments.dataset] if arguments.dataset else params.datasets:
        recorded(adapt, params, arguments.key, dataset, arguments.seed)


def _import(arguments: argparse.Namespace) -> None:
    from zsad.config.params import load_params
    from zsad.training.official.convert import import_official

    given = (arguments.method, Path(arguments.file), arguments.backbone, arguments.assignments)
    print(import_official(load_params(), *given).told)
