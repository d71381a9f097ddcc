"""The catalogue of published datasets: one YAML file per set below entries/, read and checked here.

Two curations of one set (other crops, another choice of pictures) are two entries, as their numbers do not compare.
"""

import difflib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, model_validator

from zsad.common.errors import UserError
from zsad.config.schema import Block, DatasetParams, Identifier
from zsad.config.validation import validate
from zsad.datasets.transport.access import access_named

FOLDER = Path(__file__).with_name("entries")
SUFFIXES = (".yaml", ".yml")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # both safe; libyaml reads the catalogue in a fifth of the time
REQUIRED = {"direct": "url", "gdrive": "id", "kaggle": "dataset", "manual": "page"}

Paper = Literal["cops", "bayes_pfl", "faprompt", "anomalyclip", "adaclip"]
Fact = Literal["layout", "expected", "total", "licence", "papers"]
Counts = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]


def _plain(name: str) -> str:
    if name in (".", "..") or re.search(r"[/\\]", name):
        raise ValueError(f"{name!r} is not a plain name: it becomes a folder or a file")
    return name


Name = Annotated[str, AfterValidator(_plain)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class Labels(Block):
    """What the test split can measure: `image` needs normal and anomalous pictures, `pixel` masks."""

    image: bool
    pixel: bool


class Source(Block):
    """One place to get an archive from: an address, Google Drive, Kaggle, or a page where people download it.

    `file`: name under which it is kept and looked for. `part`: which of several archives it is; empty: the whole set.
    `id`: of a file on Google Drive. `dataset`: owner/slug on Kaggle, whose file is the zip of all that it holds.
    `by`: who published the address and hash. Hashes are of the archive, sizes in bytes.
    """

    kind: Literal["direct", "gdrive", "kaggle", "manual"]
    file: Name
    part: Name = ""
    url: str = ""
    id: str = ""
    dataset: str = Field(default="", pattern=r"^([\w-]+/[\w-]+)?$")
    page: str = ""
    sha256: Sha256 | None = None
    md5: Md5 | None = None
    size: int | None = Field(default=None, gt=0)
    by: str = ""
    note: str = ""
    unverified: bool = False

    @model_validator(mode="after")
    def _has_its_address(self) -> "Source":
        for kind, name in REQUIRED.items():
            if bool(getattr(self, name)) != (kind == self.kind):
                names = ", ".join(REQUIRED.values())
                raise ValueError(f"{self.kind} needs `{REQUIRED[self.kind]}` and no other of {names}")
        return self


class LayoutChoice(Block):
    """A layout of zsad.datasets.layouts and its options, which that layout checks."""

    name: Identifier
    options: dict[str, Any] = Field(default_factory=dict)


class Licence(Block):
    """id: SPDX where there is one. redistribute: copies may be passed on. accept: ask the user before fetching."""

    id: str
    note: str = ""
    redistribute: bool
    accept: bool


class Entry(Block):
    """What is known of one published dataset.

    role: `source` may also train others, `source` names the set that trains for it. layout: form of the official
    archive; other_forms: forms in which copies come, tried in order. nested: patterns (`*/part?.zip`) of archives that
    the archive holds and that are unpacked too. contains: name of a file in the archive → sha256.
    mask_threshold: foreground is grey value > 127 or > 0. unusable_masks: stems of pictures whose mask is empty.
    categories: folder → name in prompts (empty: every folder under its own name). expected: category →
    [normal, anomalous] pictures of the test split, null: not published; total: their sums. papers: whose printed rows
    this set stands for. unverified: facts that nobody has checked against the files. role, source, split and papers are
    for people: no code reads them.
    """

    title: str
    domain: Literal["industrial", "medical"]
    role: Literal["source", "target"]
    source: Identifier
    labels: Labels
    fetch: list[Source] = Field(min_length=1)
    layout: LayoutChoice
    other_forms: list[LayoutChoice] = Field(default_factory=list)
    nested: list[str] = Field(default_factory=list)
    contains: dict[str, Sha256] = Field(default_factory=dict)
    mask_threshold: Literal["gt127", "nonzero"]
    unusable_masks: list[str] = Field(default_factory=list)
    split: str
    categories: dict[Name, str]
    expected: dict[str, Counts | None]
    total: Counts | None = None
    licence: Licence
    papers: list[Paper]
    unverified: list[Fact] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Entry":
        if set(self.expected) != set(self.categories):
            raise ValueError(f"expected and categories differ: {sorted(set(self.expected) ^ set(self.categories))}")
        if self.total and self.total != (self.sums or self.total):
            raise ValueError(f"total {self.total} is not the sum of expected, {self.sums}")
        return self

    @property
    def sums(self) -> list[int] | None:
        """[normal, anomalous] over all categories; None where a category's count is not published."""
        counts = [count for count in self.expected.values() if count]
        if not counts or len(counts) < len(self.expected):
            return None
        return [sum(column) for column in zip(*counts, strict=True)]

    @property
    def archives(self) -> dict[str, list[Source]]:
        """part → its sources in order. Either "" alone makes up the set, or all the others together do."""
        parts = sorted({source.part for source in self.fetch})
        return {part: [source for source in self.fetch if source.part == part] for part in parts}

    @property
    def forms(self) -> list[LayoutChoice]:
        """The official layout, then those of copies."""
        return [self.layout, *self.other_forms]


@cache
def catalogue(folder: Path = FOLDER) -> Mapping[str, Entry]:
    """id → entry of all files of `folder`, sorted; a fault is a UserError that names file and key."""
    return {path.stem: read_entry(path) for path in sorted(folder.glob("*.yaml"))}


def catalogued(identifier: str, where: str) -> Entry:
    """The entry of that id; otherwise a UserError that begins with `where` and gives the nearest names."""
    entries = catalogue()
    if identifier not in entries:
        near = difflib.get_close_matches(identifier, entries, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(entries)}"
        raise UserError(f"{where}: no published dataset {identifier!r} in the catalogue; {hint}")
    return entries[identifier]


def published_params(key: str) -> DatasetParams:
    """The block that a published set would have in params.yaml; UserError when the catalogue has no such id."""
    catalogued(key, f"params.yaml: no datasets.{key}")
    return DatasetParams(kind="official", path=(FOLDER / f"{key}.yaml").as_posix())


def entry_of(key: str, params: DatasetParams) -> tuple[str, Entry]:
    """(id, entry) of a block `kind: official`: of the entry file that `path` names, else the catalogue's of that id.

    UserError with the nearest ids when there is none.
    """
    if is_entry_file(params.path):
        return Path(params.path).stem, read_entry(Path(params.path))
    identifier = params.id or key
    return identifier, catalogued(identifier, f"params.yaml: datasets.{key}.{'id' if params.id else 'kind'}")


def is_entry_file(path: str) -> bool:
    """Whether a block's `path` names a file that defines a set, not the folder where its files lie."""
    return Path(path).suffix in SUFFIXES


@access_named()
def read_entry(path: Path) -> Entry:
    """The entry in a YAML file; a fault is a UserError that names file and key.

    A file of the catalogue that profiles name as it lies in the repository is found where the package is installed.
    """
    if not path.is_file() and path.parts[-4:-1] == FOLDER.parts[-3:]:
        path = FOLDER / f"{path.stem}.yaml"
    if not path.is_file():
        raise UserError(f"{path}: no such file; the catalogue's are in {FOLDER}")
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {error}") from error
    return validate(Entry, raw, str(path))
