"""Checking what people wrote: typed values, or a message that names the file, the key's path and the remedy."""

import difflib
from collections.abc import Iterable
from types import NoneType
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from zsad.common.errors import UserError

B = TypeVar("B", bound=BaseModel)
V = TypeVar("V")


def validate(model: type[B], raw: Any, where: str, prefix: str = "") -> B:
    """`raw` as `model`, or a UserError that lists each bad key by its path below `prefix` in `where`."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = [f"{where}: {_explain(model, item, prefix)}" for item in error.errors()]
        raise UserError("\n".join(lines)) from None


def _explain(model: type[BaseModel], item: Any, prefix: str) -> str:
    path = ".".join(str(part) for part in item["loc"] if part != "[key]")
    path = f"{prefix}.{path}".strip(".")
    if item["type"] == "extra_forbidden":
        known = _fields_at(model, item["loc"][:-1])
        close = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(sorted(known))}"
        return f"unknown parameter {path!r}; {hint}"
    if item["type"] == "missing":
        return f"{path}: required, but not given"
    hint = (
        " (a number in YAML needs the form 0.001)"
        if item["type"].startswith(("int", "float")) and isinstance(item["input"], str)
        else ""
    )
    return f"{path}: {item['msg']}, got {item['input']!r}{hint}"


def _fields_at(model: Any, location: tuple[Any, ...]) -> list[str]:
    """Field names of the block that `location` points to: a dict's values are the last type argument, null apart."""
    for part in location:
        field = getattr(model, "model_fields", {}).get(part)
        annotation = field.annotation if field else model
        arguments = [one for one in getattr(annotation, "__args__", ()) if one is not NoneType]
        model = arguments[-1] if arguments else annotation
    return list(getattr(model, "model_fields", {}))


def lookup(mapping: dict[str, V], key: str, block: str, others: Iterable[str] = ()) -> V:
    """`mapping[key]`; the message names what is close to a key that does not exist, in `mapping` or among `others`."""
    if key not in mapping:
        known = [*mapping, *others]
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {names(known)}"
        raise UserError(f"params.yaml: {block}.{key} does not exist; {hint}")
    return mapping[key]


def names(keys: Iterable[str]) -> str:
    """The keys in one line, for messages."""
    return ", ".join(keys) or "none"
