"""The page as a whole, on a small written grid: one file, the cells' numbers, hostile names, missing parts."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.helpers.report_cases import HOSTILE, PARAMS, SHIFT, Read, make_params, read, written_grid
from zsad.config.params import Params
from zsad.evaluation.leaderboard import SHORT
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.report.material import gather
from zsad.evaluation.report.page import Measured, page, write_report
from zsad.evaluation.results import read_cell

SECTIONS = ("summary", "results", "ranks", "charts", "parts", "pictures", "cost", "data", "provenance")
MEASURED = Measured(
    training=[{"learner": "cops", "trained on": "aux", "seconds": 12.5, "peak GPU memory": None}],
    prediction=[{"learner": "cops", "dataset": "wood", "pictures a second": 41.5}],
    lineage={"git.commit": "0123456789abcdef"},
)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with written_grid(tmp_path_factory.mktemp("grid")) as place:
        yield place


@pytest.fixture(scope="module")
def html(grid: Path) -> str:
    return write_report(make_params(), grid / "report.html", MEASURED).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shown(html: str) -> Read:
    return read(html)


@pytest.fixture
def copy(grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The grid, to take something from."""
    place = shutil.copytree(grid, tmp_path / "copy")
    monkeypatch.chdir(place)
    return place


def told() -> Read:
    return read(page(gather(make_params()), Measured()))


def test_it_is_one_small_file_that_asks_for_nothing(html: str, shown: Read) -> None:
    assert [address for address in shown.addresses() if not address.startswith(("data:image/", "#"))] == []
    assert not re.search(r"https?:|[\"'(]//|@import|url\((?!#)", html)
    assert len(html) < 5e6
    assert any("default-src 'none'" in (attributes.get("content") or "") for _, attributes in shown.tags)


def test_every_section_is_there_and_ids_are_unique(shown: Read) -> None:
    ids = [attributes["id"] for _, attributes in shown.tags if "id" in attributes]
    assert [name for name in SECTIONS if name not in ids] == []
    assert len(set(ids)) == len(ids)
    links = {address[1:] for address in shown.addresses() if address.startswith("#")}
    assert links <= set(ids)


@pytest.mark.parametrize("dataset", ["wood", "retina"])
def test_the_tables_hold_the_numbers_of_the_cells(grid: Path, shown: Read, dataset: str) -> None:
    (caption,) = [name for name in shown.tables if name.startswith(f"Zero-shot on {dataset}")]
    head, *rows = shown.tables[caption]
    assert head == ["learner", *SHORT.values()]
    for row, learner in zip(rows, ("clip_zero", "cops", "cops_paper"), strict=True):
        cell = read_cell(learner, dataset, grid / "metrics/cells")
        assert row[0].split()[0] == learner
        for text, metric in zip(row[1:], METRICS, strict=True):
            low, high = cell["interval"][metric]
            assert text == f"{cell['mean'][metric]:.3f} ± {cell['sd'][metric]:.3f} {low:.3f} to {high:.3f}"


def test_categories_and_defect_types_hold_the_numbers_of_the_cells(grid: Path, shown: Read) -> None:
    cells = [read_cell(learner, "wood", grid / "metrics/cells") for learner in SHIFT]
    rows = {row[0]: row[1:] for row in shown.tables["I-AUROC on wood by category"]}
    assert rows["plain"] == [f"{cell['categories']['plain']['image_auroc']:.3f}" for cell in cells]
    (caption,) = [name for name in shown.tables if name.startswith("P-AUROC on wood by defect type")]
    rows = {row[0]: row[1:] for row in shown.tables[caption]}
    assert rows["plain/dent"] == [f"{c['categories']['plain']['defects']['dent']['pixel_auroc']:.3f}" for c in cells]


def test_charts_tell_in_words_what_they_show(grid: Path, shown: Read) -> None:
    labels = [attributes["aria-label"] for tag, attributes in shown.tags if tag == "svg"]
    value = read_cell("cops", "wood", grid / "metrics/cells")["mean"]["pixel_aupro"]
    assert any(label.startswith("AUPRO on wood") and f"cops {value:.3f}" in label for label in labels if label)
    assert sum(label.startswith("Scores of") for label in labels if label) == 2 * len(SHIFT)
    assert all(attributes.get("alt") for tag, attributes in shown.tags if tag == "img")


def test_hostile_names_are_text(html: str, shown: Read) -> None:
    assert HOSTILE in shown.text
    assert HOSTILE not in html
    assert sum(tag == "script" for tag, _ in shown.tags) == 1


def test_demo_data_are_labelled_and_others_are_not(shown: Read) -> None:
    assert "Demo data (wood): procedurally drawn" in " ".join(shown.text.split())


def test_cost_and_provenance(shown: Read) -> None:
    (caption,) = [name for name in shown.tables if name.startswith("Training")]
    assert caption.endswith("not measured: peak GPU memory")
    assert shown.tables[caption][1] == ["cops", "aux", "12.5"]
    assert "0123456789abcdef" in shown.text
    assert "hash of wood" in shown.text


def test_without_predictions_it_is_shorter_and_says_so(copy: Path) -> None:
    shutil.rmtree("data")
    shown = told()
    text = " ".join(shown.text.split())
    assert "8 results without predictions and pictures" in text
    assert "cops has the highest" in text
    assert "pictures of each learner by themselves" in text
    assert "the manifest of wood is not here" in text
    assert "No curves and histograms" in text
    assert not [tag for tag, _ in shown.tags if tag == "img"]
    (caption,) = [name for name in shown.tables if name.startswith("wood: test pictures")]
    assert shown.tables[caption][1][1:4] == ["4", "4", "cut 2, dent 2"]


def test_without_pictures_it_says_which_it_wanted(copy: Path) -> None:
    shutil.rmtree("data/raw")
    text = " ".join(told().text.split())
    assert "data/raw/wood: 24 pictures and masks of its manifest are not here" in text
    assert "8 results without predictions and pictures" in text


def test_cells_of_an_earlier_version_have_no_intervals(copy: Path) -> None:
    shutil.rmtree("data")
    for path in Path("metrics/cells").rglob("*.json"):
        cell = json.loads(path.read_text())
        del cell["interval"], cell["se"]
        for category in cell["categories"].values():
            del category["interval"], category["defects"]
        path.write_text(json.dumps(cell))
    shown = told()
    assert "seeds only, so it tells nothing of other pictures" in shown.text
    assert "The results at hand do not tell" in shown.text
    (caption,) = [name for name in shown.tables if name.startswith("Zero-shot on wood")]
    assert " to " not in shown.tables[caption][1][1]


def test_missing_broken_and_other_cells_are_listed(copy: Path) -> None:
    Path("metrics/cells/cops/wood.json").unlink()
    Path("metrics/cells/clip_zero/retina.json").write_text("{")
    shutil.rmtree("data/predictions/apt_2shot/retina")
    text = " ".join(told().text.split())
    assert "2 missing or unreadable" in text
    assert "metrics/cells/cops/wood.json: not found" in text
    assert "metrics/cells/clip_zero/retina.json: not valid JSON" in text
    assert "apt_2shot on retina" in text
    assert "cops is trained on aux" in text


def test_without_any_cell_there_is_still_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "No result has metrics yet" in told().text


def test_three_learners_are_ranked(copy: Path) -> None:
    for dataset in ("aux", "wood", "retina"):
        cell = read_cell("cops", dataset)
        path = Path(f"metrics/cells/faprompt/{dataset}.json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({**cell, "learner": "faprompt"}))
    shutil.rmtree("data")
    learners = {**PARAMS["learners"], "faprompt": {}}  # type: ignore[dict-item]
    shown = read(page(gather(Params.model_validate({**PARAMS, "learners": learners})), Measured()))
    assert "2 shared datasets are too few for ranks to show anything" in shown.text
    assert any(str(a.get("aria-label")).startswith("Mean ranks, Zero-shot, AUPRO: ") for tag, a in shown.tags)


class Published(NamedTuple):
    row: dict[str, object]


def test_published_figures_stand_beside_ours(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree("data")
    names = ("learner", "source", "dataset", "metric", "ours", "published", "gap", "published_source", "quoted")
    agree = Published(
        dict(zip(names, ("cops", "visa", "mvtec", "image_auroc", 0.9, 0.92, -0.02, "a table", "own"), strict=True))
    )
    other = Published({**agree.row, "gap": None})
    assert "Ours and published" not in told().tables
    monkeypatch.setattr("zsad.evaluation.report.tables.beside", lambda params, cells: [agree, other])
    _, *rows = told().tables["Ours and published"]
    assert rows[0] == ["cops", "visa", "mvtec", "image_auroc", "0.900", "0.920", "-0.020", "a table", "own"]
    assert rows[1][6] == "–"
