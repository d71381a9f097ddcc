"""What code is made of, as a digest: a hash over syntax trees, so comments, docstrings and formatting do not count.

A module is made of itself and of every module of this project that it imports, itself or through another. What is
imported by name (a method, a drawing) is not seen here: whoever asks names it as one more entry.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from zsad.common.io import content_hash

SOURCE = Path(__file__).parents[2]
PACKAGES = ("zsad", "zsad_synthetic")
STATEMENTS = (
    "body",
    "orelse",
    "finalbody",
    "handlers",
    "cases",
)  # fields of statements in statements
IGNORED_FIELDS = ("ctx", "kind", "type_comment")  # say nothing more, or differ between versions of Python


def digest(*entries: str, apart: Iterable[str] = ()) -> str:
    """One hash over everything that the modules `entries` are made of; `apart` as in `made_of`."""
    return content_hash(made_of(*entries, apart=apart))


def made_of(*entries: str, apart: Iterable[str] = ()) -> Mapping[str, str]:
    """{module: hash of its syntax tree} of the modules `entries` and of all that they import.

    Modules in `apart`, and what lies below them, are neither counted nor followed; nor is `zsad` itself, which only
    hands names on. ValueError for an entry that does not exist.
    """
    left_out = tuple(apart)
    found: dict[str, str] = {}
    waiting = list(entries)
    while waiting:
        module = waiting.pop()
        if module in found or module in PACKAGES or any(f"{module}.".startswith(f"{name}.") for name in left_out):
            continue
        found[module], imported = _read(module)
        waiting += [*imported, *_above(module)]
    return dict(sorted(found.items()))


@cache
def _read(module: str) -> tuple[str, tuple[str, ...]]:
    """(hash of the syntax tree, modules of this project that it imports)."""
    path = _file(module)
    if path is None:
        raise ValueError(f"{module}: no such module in {SOURCE}")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return hashlib.sha256(repr(_plain(tree)).encode()).hexdigest()[:16], tuple(_imports(tree))


@cache
def _file(module: str) -> Path | None:
    base = SOURCE.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _above(module: str) -> list[str]:
    """The packages that Python imports on the way to a module."""
    parts = module.split(".")
    return [name for name in (".".join(parts[:n]) for n in range(1, len(parts))) if _file(name)]


def _imports(tree: ast.Module) -> Iterator[str]:
    """Modules of this project that are imported anywhere in a module, but for what only type checkers read."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if name.split(".")[0] in PACKAGES and _file(name))
        waiting += [statement for name in STATEMENTS for statement in getattr(node, name, ())]


def _plain(node: object) -> object:
    """A syntax tree as nested tuples that are the same for every version of Python; bare strings are left out."""
    if isinstance(node, ast.AST):
        told = []
        for name in node._fields:
            value = None if name in IGNORED_FIELDS else getattr(node, name, None)
            if value is not None and value != []:
                told.append((name, _plain(value) if isinstance(value, (ast.AST, list)) else value))
        return type(node).__name__, tuple(told)
    if isinstance(node, list):
        return tuple([_plain(item) for item in node if not _is_docstring(item)])
    return node


def _is_docstring(node: object) -> bool:
    """A string that stands for itself: of a module, class or function, or below the field of a settings class."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
