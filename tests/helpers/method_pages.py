"""Tables of settings in docs/methods, made from each method's Config. `make docs` writes them, a test compares.

A field's meaning is the text below it in the learner's file. A page holds its table between two comments.
"""

import ast
import inspect
import json
from itertools import pairwise
from textwrap import dedent
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from tests.helpers import ROOT
from zsad.config.schema import Block
from zsad.learners.lookup import learner_class, methods

PAGES = ROOT / "docs/methods"
BEGIN, END = "<!-- parameters -->", "<!-- /parameters -->"
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def table(method: str) -> str:
    """Markdown table of name, type, default and meaning of every setting, as params.yaml writes them."""
    lines = ["| name | type | default | meaning |", "|---|---|---|---|"]
    config = learner_class(method).Config
    meanings = _meanings(config)
    for name, field in config.model_fields.items():
        assert name in meanings, f"{method}: say below `{name}` in its Config what it means"
        meaning = " ".join(meanings[name].split()).replace("|", "\\|")
        lines.append(f"| `{name}` | {_type(field)} | `{_yaml(field.default)}` | {meaning} |")
    return "\n".join(lines)


def with_table(page: str, method: str) -> str:
    """The page with the table that the code gives."""
    before, _, rest = page.partition(BEGIN)
    _, marker, after = rest.partition(END)
    assert marker, f"docs/methods/{method}.md: wants {BEGIN} and {END} on lines of their own, the table goes between"
    return f"{before}{BEGIN}\n{table(method)}\n{END}{after}"


def _meanings(config: type[Block]) -> dict[str, str]:
    """The text below each field, in this class and those that it extends."""
    found = {}
    for part in reversed(config.__mro__):
        if issubclass(part, Block):  # pydantic could read them too, at 0.4 s of every process
            (body,) = ast.parse(dedent(inspect.getsource(part))).body
            assert isinstance(body, ast.ClassDef)
            for field, text in pairwise(body.body):
                if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                    assert isinstance(field.target, ast.Name)
                    found[field.target.id] = ast.literal_eval(text.value)
    return found


def _type(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(item, bound):g}"
        for item in field.metadata
        for bound, sign in BOUNDS.items()
        if hasattr(item, bound)
    ]
    return ", ".join([_name(field.annotation), *bounds])


def _name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{_yaml(value)}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_name(argument) for argument in arguments)
    if origin is tuple:
        count = "list" if arguments[-1] is Ellipsis else f"{len(arguments)}"
        return f"{count} of {_name(arguments[0])}"
    return "null" if annotation is NoneType else str(annotation.__name__)


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def main() -> None:
    """Write the table of every method into its page."""
    for method in methods():
        path = PAGES / f"{method}.md"
        path.write_text(with_table(path.read_text(encoding="utf-8"), method), encoding="utf-8")


if __name__ == "__main__":
    main()
