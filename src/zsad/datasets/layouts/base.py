"""What all layouts share: the files of a set, what one picture of it is, and where in a tree the set begins."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from zsad.common.errors import UserError
from zsad.config.schema import Block
from zsad.datasets.images import IMAGE_SUFFIXES, read_image
from zsad.datasets.transport.access import access_named

NORMAL = "good"
SHOWN = 10  # names listed in a message before it says how many more


@dataclass(frozen=True)
class Item:
    """One picture as its place says: label 0 normal, 1 anomalous; `mask` is a relative path or empty."""

    path: str
    category: str
    split: str
    label: int
    defect_type: str
    mask: str


Reading = tuple[list[Item], list[str]]  # items and notes


@dataclass(frozen=True)
class Files:
    """Names of a set's files, POSIX, sorted and relative to `root`; `prefix` leads from the whole tree to `root`."""

    root: Path
    names: tuple[str, ...]
    prefix: str = ""

    @cached_property
    def pictures(self) -> tuple[str, ...]:
        """Names of the pictures and masks among them."""
        return tuple(name for name in self.names if suffix_of(name).lower() in IMAGE_SUFFIXES)

    @cached_property
    def known(self) -> frozenset[str]:
        """All names, to look one up."""
        return frozenset(self.names)

    def below(self, prefix: str) -> "Files":
        """The files below a folder (`prefix` ends in a slash, or is empty)."""
        inside = tuple(name.removeprefix(prefix) for name in self.names if name.startswith(prefix))
        return Files(self.root / prefix, inside, self.prefix + prefix)

    def text(self, name: str) -> str:
        """Content of a text file; UserError when it is missing, not to be read or not UTF-8."""
        try:
            with access_named():
                return (self.root / name).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise UserError(f"{self.root / name}: not UTF-8 text ({error})") from error

    def json(self, name: str, form: Any, expected: str) -> Any:
        """Content of a JSON file in the form of a type; UserError that says where it differs and what is expected."""
        try:
            return TypeAdapter(form).validate_json(self.text(name))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "its beginning"
            raise UserError(f"{self.root / name}: not {expected}; at {place}: {first['msg']}") from None

    def shows(self, mask: str) -> bool:
        """Whether any pixel of a mask is set, at whichever grey value."""
        return bool(read_image(self.root / mask).any())

    def fail(self, problems: Sequence[str]) -> None:
        """UserError with all problems, one a line; nothing when there are none."""
        fail([f"{self.root}: {problem}" for problem in problems])


class Options(Block):
    """Options of every layout.

    under: begin of the set is a folder below one whose name contains this, where an archive holds several sets.
    image_only: the set has no masks; what looks like them is not read. normal_test_fraction: share of the normal test
    pictures that stays in the test split, drawn with `seed`; the others become training pictures.
    """

    under: str = ""
    image_only: bool = False
    normal_test_fraction: float | None = Field(default=None, gt=0, lt=1)
    seed: int = Field(default=42, ge=0, lt=2**32)


O = TypeVar("O", bound=Options)  # noqa: E741


@dataclass(frozen=True)
class Layout(Generic[O]):
    """How to read one form of files.

    signature: patterns (`*` within a name, `**` across folders) that files below the set's begin must match, each one.
    read: items in the order of the files that list them (else sorted), notes; UserError names the files at fault.
    """

    options: type[O]
    signature: Callable[[O], Sequence[str]]
    read: Callable[[Files, O], Reading]

    def locate(self, files: Files, options: O) -> Files | None:
        """The files from the set's begin on, or None when they are not in this form."""
        return located(files, self.signature(options), options.under)


def located(files: Files, patterns: Sequence[str], under: str = "") -> Files | None:
    """The files below the shallowest folder in which every pattern has a match; None when there is none."""
    begins = set.intersection(*({match["begin"] for match in _matches(files, pattern)} for pattern in patterns))
    named = {begin for begin in begins if under.lower() in begin.lower()}
    if under and not named and len(begins) == 1:
        named = begins
    return files.below(min(named, key=lambda begin: (begin.count("/"), begin))) if named else None


def suffix_of(name: str) -> str:
    """Extension of a file name, with its dot."""
    return PurePosixPath(name).suffix


def stem_of(name: str) -> str:
    """File name without folders and extension."""
    return PurePosixPath(name).stem


def listed(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def fail(problems: Sequence[str]) -> None:
    """UserError with the first problems, one a line, and how many more there are; nothing when there are none."""
    if problems:
        more = [f"… and {len(problems) - 5 * SHOWN} more"] if len(problems) > 5 * SHOWN else []
        raise UserError("\n".join([*problems[: 5 * SHOWN], *more]))


def pair_by_stem(pictures: Iterable[str], masks: Iterable[str], suffix: str = "") -> tuple[dict[str, str], list[str]]:
    """(picture → mask, problems). They meet on picture's stem + suffix = mask's stem, never on position."""
    free: dict[str, str] = {}
    problems: list[str] = []
    for mask in sorted(masks):
        twin = free.setdefault(stem_of(mask), mask)
        if twin != mask:
            problems.append(f"more than one file of the same name: {twin}, {mask}")
    pairs: dict[str, str] = {}
    for picture in sorted(pictures):
        if found := free.pop(stem_of(picture) + suffix, None):
            pairs[picture] = found
        else:
            problems.append(f"no mask for {picture} (expected {stem_of(picture)}{suffix}.*)")
    return pairs, [*problems, *(f"no picture for mask {mask}" for mask in free.values())]


def category_notes(items: Sequence[Item]) -> list[str]:
    """What cannot be measured in which category."""
    notes = []
    for category in sorted({item.category for item in items}):
        test = [item for item in items if item.category == category and item.split == "test"]
        labels = {item.label for item in test}
        if not test:
            notes.append(f"{category}: no test picture")
        elif labels == {1}:
            notes.append(f"{category}: no normal test picture; image metrics are undefined")
        elif labels == {0}:
            notes.append(f"{category}: no anomalous test picture; all metrics are undefined")
        if 1 in labels and not any(item.mask for item in test):
            notes.append(f"{category}: no masks; pixel metrics are undefined")
    return notes


def moved(items: Iterable[Item], prefix: str) -> list[Item]:
    """The items with paths as seen from above `prefix`."""
    return [replace(i, path=prefix + i.path, mask=i.mask and prefix + i.mask) for i in items]


def _matches(files: Files, pattern: str) -> Iterable[re.Match[str]]:
    """Each name whose end is `pattern`, with the folder before it as group `begin`."""
    text = re.escape(pattern).replace(r"\*\*", ".+").replace(r"\*", "[^/]*")
    expression = re.compile(f"(?P<begin>(?:[^/]+/)*?){text}")
    return (match for name in files.names if (match := expression.fullmatch(name)))
