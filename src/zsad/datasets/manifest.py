"""The manifest: one row per picture with its label, mask and the hash of its pixels, and facts about the whole set."""

import csv
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from zsad.common.errors import UserError
from zsad.common.io import atomic_directory, read_json, write_json

MANIFESTS = Path("data/manifests")
ROWS_FILE = "manifest.csv"
FACTS_FILE = "dataset.json"


@dataclass(frozen=True)
class Row:
    """One picture. Paths are POSIX, relative to the set's root; label 0 normal, 1 anomalous; `mask` may be empty.

    pixel_hash: first 16 hex digits of the sha256 of the decoded RGB pixels and their shape.
    """

    path: str
    category: str
    prompt_name: str
    label: int
    mask: str
    split: str
    defect_type: str
    width: int
    height: int
    pixel_hash: str

    @property
    def has_truth(self) -> bool:
        """Whether it is known which pixels are anomalous: none of a normal picture, else those of its mask."""
        return bool(self.mask) or not self.label


@dataclass(frozen=True)
class Manifest:
    """A dataset as every later step sees it; `hash` changes with any pixel, mask, label, name or size.

    source: the auxiliary set that params.yaml names for it, if any: predictions follow it.
    has_pixel_labels: every anomalous test picture has a mask, but for those whose mask is known to be unusable.
    """

    dataset: str
    kind: str
    domain: str
    root: Path
    has_image_labels: bool
    has_pixel_labels: bool
    size: tuple[int, int]
    mask_rule: str
    hash: str
    counts: dict[str, dict[str, int]]
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    source: str | None = None

    @cached_property
    def test(self) -> tuple[Row, ...]:
        """The pictures that are scored, in path order."""
        return tuple(row for row in self.rows if row.split == "test")

    @cached_property
    def trainable(self) -> tuple[Row, ...]:
        """What learners train on when the set is their source: the test split but for what lacks a usable mask."""
        return tuple(row for row in self.test if row.has_truth)

    @cached_property
    def train(self) -> tuple[Row, ...]:
        """Normal pictures for few-shot learners, in path order."""
        return tuple(row for row in self.rows if row.split == "train")


def write_manifest(manifest: Manifest, base: Path = MANIFESTS) -> Path:
    """Write `base/<dataset>/` whole or not at all; returns it."""
    target = base / manifest.dataset
    with atomic_directory(target) as directory:
        with (directory / ROWS_FILE).open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
            table.writeheader()
            table.writerows(asdict(row) for row in manifest.rows)
        write_json(directory / FACTS_FILE, _facts(manifest))
    return target


def load_manifest(dataset: str, base: Path = MANIFESTS) -> Manifest:
    """Read the manifest of `dataset`; UserError with the command that makes it when it is absent."""
    directory = base / dataset
    if not (directory / FACTS_FILE).is_file():
        raise UserError(f"{directory}: no manifest of {dataset}; run `dvc repro index@{dataset}`")
    facts = read_json(directory / FACTS_FILE)
    with (directory / ROWS_FILE).open(encoding="utf-8", newline="") as file:
        rows = tuple(_row(record) for record in csv.DictReader(file))
    labels, (width, height) = facts.pop("labels"), facts.pop("size")
    return Manifest(
        **{**facts, "root": Path(facts["root"]), "notes": tuple(facts["notes"])},
        has_image_labels=labels["image"],
        has_pixel_labels=labels["pixel"],
        size=(width, height),
        rows=rows,
    )


def _facts(manifest: Manifest) -> dict[str, Any]:
    return {
        "dataset": manifest.dataset,
        "kind": manifest.kind,
        "domain": manifest.domain,
        "root": manifest.root.as_posix(),
        "labels": {"image": manifest.has_image_labels, "pixel": manifest.has_pixel_labels},
        "size": list(manifest.size),
        "mask_rule": manifest.mask_rule,
        "counts": manifest.counts,
        "hash": manifest.hash,
        "notes": list(manifest.notes),
        "source": manifest.source,
    }


def _row(record: dict[str, str]) -> Row:
    numbers = {name: int(record[name]) for name in ("label", "width", "height")}
    return Row(**{**record, **numbers})  # type: ignore[arg-type]  # csv gives text for every column
