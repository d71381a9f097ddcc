"""Other names for the classes of a dataset, to learn how much the names matter: `class_names` of params.yaml.

A naming is `object` (no name is known), `other` (a wrong one: of the set's names by alphabet, each class gets the next,
the last one the first) or a table {name: word}, such as a translation. It changes what learners are told of a target's
pictures, when they score them and when they adapt to them; never an auxiliary source.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from zsad.common.errors import UserError
from zsad.common.progress import log
from zsad.config.schema import Naming
from zsad.datasets.manifest import Manifest

FOLDER = "class_names"  # below a cell's checkpoints and predictions: a folder for each naming


def under_other_names(manifest: Manifest, namings: Mapping[str, Naming]) -> Iterator[tuple[str, Manifest]]:
    """(key, the dataset with its classes called so) of each naming that means something on this dataset."""
    names = sorted({row.prompt_name for row in manifest.test})
    for key, naming in namings.items():
        words = _words(names, key, naming, manifest.dataset)
        if words is None:
            log(f"class_names.{key}: {manifest.dataset} has one class name alone, so none of it is another")
        else:
            rows = (replace(row, prompt_name=words.get(row.prompt_name, row.prompt_name)) for row in manifest.rows)
            yield key, replace(manifest, rows=tuple(rows))


def _words(names: list[str], key: str, naming: Naming, dataset: str) -> Mapping[str, str] | None:
    """{name: word in its place}; None where there is no other name."""
    if naming == "object":
        return dict.fromkeys(names, naming)
    if naming == "other":
        return dict(zip(names, [*names[1:], names[0]], strict=True)) if len(names) > 1 else None
    assert isinstance(naming, Mapping)
    if missing := [name for name in names if name not in naming]:
        raise UserError(f"params.yaml: class_names.{key}: no word for {', '.join(missing)} of {dataset}; add it")
    return naming
