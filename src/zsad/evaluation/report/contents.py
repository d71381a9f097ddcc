"""The data section: what each dataset holds, and examples of it."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from zsad.common.errors import UserError
from zsad.datasets.manifest import Manifest, Row
from zsad.evaluation.report.gallery import Tile
from zsad.evaluation.report.material import Material
from zsad.evaluation.report.tables import ABSENT, Table, Value
from zsad.evaluation.report.tiles import data_uri, outlined, picture_tile
from zsad.evaluation.results import Cell

MOST_EXAMPLES = 120  # of all datasets
COLUMNS = ["category", "normal", "anomalous", "defect types", "normal for few-shot"]


class Contents(NamedTuple):
    """One dataset: counts, facts that indexing noted, examples, and why there are no examples."""

    dataset: str
    table: Table
    notes: Sequence[str]
    examples: list[Tile]
    why_not: str = ""


def contents(material: Material) -> list[Contents]:
    """One for each dataset that something was scored on."""
    each = max(2, MOST_EXAMPLES // max(1, len(material.datasets)) // 2 * 2)
    found = []
    for dataset in material.datasets:
        manifest = material.manifests.get(dataset)
        if manifest is None:
            table = _table_of_cell(next(cell for cell in material.cells if cell["dataset"] == dataset))
            why = f"the manifest of {dataset} is not here, so counts are those of its results; `dvc pull` brings it"
            found.append(Contents(dataset, table, (), [], why))
        else:
            examples, why = _examples(manifest, min(each, 12))
            found.append(Contents(dataset, _table(manifest), manifest.notes, examples, why))
    return found


def _table(manifest: Manifest) -> Table:
    rows = []
    for category in sorted({row.category for row in manifest.test}):
        own = [row for row in manifest.test if row.category == category]
        types = Counter(row.defect_type for row in own if row.label)
        support = sum(row.category == category for row in manifest.train)
        rows.append(_row(category, len(own), sum(types.values()), types, str(support), support))
    return Table(f"{manifest.dataset}: test pictures by category", COLUMNS, rows)


def _table_of_cell(cell: Cell) -> Table:
    rows = []
    for category, values in cell["categories"].items():
        types = Counter({kind: one["n_images"] for kind, one in values.get("defects", {}).items()})
        rows.append(_row(category, values["n_images"], values["n_anomalous"], types, ABSENT, ""))
    return Table(f"{cell['dataset']}: test pictures by category", COLUMNS, rows)


def _row(category: str, total: int, anomalous: int, types: Counter[str], text: str, support: int | str) -> list[Value]:
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(types.items()))
    counts = [Value(str(count), count) for count in (total - anomalous, anomalous)]
    return [Value(category, category), *counts, Value(kinds or ABSENT, len(types)), Value(text, support)]


def _examples(manifest: Manifest, count: int) -> tuple[list[Tile], str]:
    """The first normal and the first anomalous picture of the first categories; or why they cannot be shown."""
    try:
        return [_tile(manifest, row) for row in _first(manifest)[:count]], ""
    except UserError as error:
        return [], str(error)


def _first(manifest: Manifest) -> list[Row]:
    firsts: dict[tuple[str, int], Row] = {}
    for row in manifest.test:
        firsts.setdefault((row.category, row.label), row)
    return [firsts[key] for key in sorted(firsts)]


def _tile(manifest: Manifest, row: Row) -> Tile:
    what = row.defect_type if row.label else "normal"
    alt = f"{row.path}: {what}" + (", its region outlined" if row.mask else "")
    return Tile(data_uri(outlined(picture_tile(manifest, row), manifest, row)), f"{row.category}: {what}", alt)
