"""`zsad profile apply`: an overlay on params.yaml that keeps its comments.

The maps that say *what* runs (`datasets`, `sources`, `learners`, `few_shot`, `few_shot_of`, `ensembles`) are replaced
whole. All else is merged.
"""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from zsad.common.errors import UserError
from zsad.common.io import atomic_path
from zsad.config.params import PARAMS_FILE, load_params

REPLACED_WHOLE = ("datasets", "sources", "learners", "few_shot", "few_shot_of", "ensembles")


def apply_profile(profile: Path, assignments: list[str], target: Path = PARAMS_FILE) -> None:
    """Overlay `profile` and then `KEY=VALUE` assignments (dotted keys, YAML values) on `target`.

    The result is checked before it replaces the file; nothing is written when it is not valid.
    """
    yaml = _yaml()
    params = _read(yaml, target)
    _overlay(params, _read(yaml, profile))
    for assignment in assignments:
        _assign(yaml, params, assignment)
    with atomic_path(target) as temporary:
        with temporary.open("w", encoding="utf-8") as file:
            yaml.dump(params, file)
        load_params(temporary, shown_as=target)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = 200
    yaml.preserve_quotes = True
    yaml.representer.add_representer(type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", "null"))
    return yaml


def _read(yaml: YAML, path: Path) -> CommentedMap:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, CommentedMap):
        raise UserError(f"{path}: expected keys and values at the top level")
    return content


def _overlay(params: CommentedMap, profile: CommentedMap) -> None:
    for key, value in profile.items():
        if isinstance(value, CommentedMap) and isinstance(params.get(key), CommentedMap) and key not in REPLACED_WHOLE:
            _overlay(params[key], value)
        else:
            params[key] = value


def _assign(yaml: YAML, params: CommentedMap, assignment: str) -> None:
    path, equals, text = assignment.partition("=")
    *parents, leaf = path.split(".")
    if not equals or not leaf:
        raise UserError(f"{assignment!r}: expected KEY=VALUE, such as datasets.parts.path=/data/parts")
    block: Any = params
    for part in parents:
        if block.get(part) is None:
            block[part] = CommentedMap()
        block = block[part]
        if not isinstance(block, CommentedMap):
            raise UserError(f"{assignment!r}: {part} is not a block of keys in params.yaml")
    try:
        block[leaf] = yaml.load(text)
    except YAMLError as error:
        raise UserError(f"{assignment!r}: the value is not valid YAML ({error}); quote it") from error
