"""Leaderboard and summary from cells written by hand."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from zsad.common.errors import UserError
from zsad.common.io import write_json
from zsad.config.params import Params
from zsad.evaluation.aggregate import aggregate
from zsad.evaluation.metrics.names import METRICS

DATASETS = {"steel": "industrial", "wood": "industrial", "scan": "medical"}


def make_params(learners: tuple[str, ...] = ("cops", "clip_zero"), kind: str = "folder") -> Params:
    return Params.model_validate(
        {
            "seeds": [0, 1],
            "backbones": {"default": {"name": "embedded", "pretrained": "embedded", "image_size": 48}},
            "sources": {},
            "datasets": {name: {"path": "x", "kind": kind} for name in DATASETS},
            "learners": {name: {"method": "apt"} if name.startswith("apt_") else {} for name in learners},
            "gate": {"cell": {}, "mean": {}},
        }
    )


def make_cell(learner: str, dataset: str, by_seed: dict[int, float], **changes: Any) -> dict[str, Any]:
    """A cell in which every metric has the same value, given per seed; in `changes`, lists of metrics to undefine."""
    without = changes.pop("without", ())
    mean = sum(by_seed.values()) / len(by_seed)
    spread = abs(by_seed[0] - mean) * 2**0.5 if len(by_seed) == 2 else 0.0

    def values(value: float) -> dict[str, float | None]:
        return {metric: None if metric in without else round(value, 6) for metric in METRICS}

    cell = {
        "learner": learner,
        "method": learner,
        "protocol": "strict",
        "source": "aux",
        "shots": 0,
        "dataset": dataset,
        "domain": DATASETS.get(dataset, "other"),
        "n_images": 10,
        "config_hash": "c",
        "dataset_hash": "d",
        "prediction_hash": "p",
        "seeds": list(by_seed),
        "mean": values(mean),
        "sd": values(spread),
        "per_seed": {str(seed): values(value) for seed, value in by_seed.items()},
        "categories": {"one": {"n_images": 10, "n_anomalous": 5, **values(mean)}},
        "undefined": dict.fromkeys(without, 1),
        "metrics": {"resolution": [48, 64], "aupro_fpr_limit": 0.3, "connectivity": 8},
        "reason": None,
    }
    return {**cell, **changes}


def write_cell(cell: dict[str, Any]) -> None:
    write_json(Path("metrics/cells") / cell["learner"] / f"{cell['dataset']}.json", cell)


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_cell(make_cell("cops", "steel", {0: 0.8, 1: 0.82}))
    write_cell(make_cell("cops", "wood", {0: 0.6, 1: 0.7}))
    write_cell(make_cell("cops", "scan", {0: 0.9, 1: 0.94}, without=("image_auroc", "image_ap", "image_f1max")))
    write_cell(make_cell("clip_zero", "steel", {0: 0.5}, source=None))
    write_cell(make_cell("clip_zero", "wood", {0: 0.5}, source=None))
    nothing = dict.fromkeys(METRICS)
    reason = {"reason": "clip_zero is trained on scan", "mean": nothing, "sd": nothing, "per_seed": {}, "seeds": []}
    write_cell(make_cell("clip_zero", "scan", {0: 0.5}, **reason, categories={}))


def read_board() -> pd.DataFrame:
    return pd.read_csv("metrics/leaderboard.csv").set_index(["learner", "dataset"])


def test_leaderboard_csv(cells: None) -> None:
    aggregate(make_params())
    board = read_board()
    origin = ["method", "protocol", "source", "shots", "domain", "seeds", "n_images"]
    bounds = [f"{metric}_{end}" for metric in METRICS for end in ("low", "high")]
    assert list(board.columns) == [*origin, *METRICS, *(f"{metric}_sd" for metric in METRICS), *bounds]
    assert len(board) == 5  # the cell without meaning has no row
    assert board.loc[("cops", "wood"), "pixel_ap"] == pytest.approx(0.65)
    assert board.loc[("cops", "wood"), "pixel_ap_sd"] == pytest.approx(0.070711)
    assert board.loc[("cops", "steel"), "seeds"] == 2
    assert board.loc[("clip_zero", "wood"), "pixel_ap_sd"] == 0
    text = Path("metrics/leaderboard.csv").read_text()
    assert text.splitlines()[3].startswith("cops,cops,strict,aux,0,scan,medical,2,10,,,,0.92")


def test_intervals_over_pictures(cells: None) -> None:
    """In the CSV's last columns and in a table of their own; cells of earlier versions have none."""
    interval = {metric: [0.7, 0.875] for metric in METRICS}
    write_cell(make_cell("cops", "steel", {0: 0.8, 1: 0.82}, interval=interval))
    aggregate(make_params())
    row = read_board().loc[("cops", "steel")]
    assert (row["pixel_ap_low"], row["pixel_ap_high"]) == (0.7, 0.875)
    assert read_board().loc[("cops", "wood")][["pixel_ap_low", "pixel_ap_high"]].isna().all()
    table = Path("metrics/leaderboard.md").read_text().partition("95 % intervals over pictures")[2]
    rows = [[field.strip() for field in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    assert rows[2:] == [["cops", "steel", *["0.700 to 0.875"] * 7]]


def test_categories_csv(cells: None) -> None:
    """A row a category and one a defect type, empty where undefined."""
    values = dict.fromkeys(METRICS, 0.5)
    cup = {"n_images": 9, "n_anomalous": 4, **values, "interval": {metric: [0.4, 0.6] for metric in METRICS}}
    cup["defects"] = {"dent": {"n_images": 4, **values, "pixel_ap": None}}
    write_cell(make_cell("cops", "steel", {0: 0.8, 1: 0.82}, categories={"cup": cup}))
    aggregate(make_params())
    table = pd.read_csv("metrics/categories.csv", keep_default_na=False)
    steel = table[(table["learner"] == "cops") & (table["dataset"] == "steel")]
    assert list(zip(steel["category"], steel["defect_type"], steel["n_images"], strict=True)) == [
        ("cup", "", 9),
        ("cup", "dent", 4),
    ]
    assert list(steel["pixel_ap"]) == ["0.500000", ""]
    assert list(steel["pixel_ap_high"]) == ["0.600000", ""]
    assert len(table) == 6  # one category in each of the five cells with values, and the defect type


def test_summary(cells: None) -> None:
    aggregate(make_params())
    summary = json.loads(Path("metrics/summary.json").read_text())
    assert list(summary) == ["clip_zero", "cops"]
    cops = summary["cops"]
    assert cops["industrial"]["image_auroc"] == pytest.approx(0.73)
    assert cops["medical"]["image_auroc"] is None
    assert cops["medical"]["pixel_ap"] == pytest.approx(0.92)
    assert cops["all"]["image_auroc"] == pytest.approx(0.73)
    assert cops["all"]["pixel_ap"] == pytest.approx((0.81 + 0.65 + 0.92) / 3, abs=1e-6)
    assert cops["undefined"] == {"image_auroc": 1, "image_ap": 1, "image_f1max": 1}
    assert (cops["n_datasets"], summary["clip_zero"]["n_datasets"]) == (3, 2)
    assert "medical" not in summary["clip_zero"]


def test_leaderboard_markdown(cells: None) -> None:
    aggregate(make_params())
    text = Path("metrics/leaderboard.md").read_text()
    assert "## Zero-shot" in text
    assert "-shot" not in text.replace("Zero-shot", "")
    assert "Protocol: `strict`" in text
    assert "64 × 48 px" in text
    assert "false-positive rate of 0.3" in text
    assert "0.650 ± 0.071" in text
    assert "Demo data" not in text
    rows = [[field.strip() for field in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    mean = next(row for row in rows if row[0] == "cops" and row[3] == "**mean of the 2 shared**")
    assert mean[5:] == ["2", *["0.730 ± 0.042"] * 7]  # clip_zero has no row for scan
    single = next(row for row in rows if row[0] == "clip_zero" and row[3].startswith("**"))
    assert single[5:] == ["1", *["0.500"] * 7]
    scan = next(row for row in rows if row[:1] == ["cops"] and row[3] == "scan")
    assert scan[6:9] == ["–"] * 3
    assert "- clip_zero on scan: not applicable: clip_zero is trained on scan\n" in text
    assert "- scan: undefined, and in no mean: I-AUROC, I-AP, I-F1-max in 1 of 1 categories (cops)" in text


def test_imported_weights_are_marked(cells: None) -> None:
    raw = make_params().model_dump()
    raw["learners"]["cops"] |= {"imported": "data/imported/cops_x.safetensors", "source": "steel"}
    raw["sources"] = {"steel": {}}
    aggregate(Params.model_validate(raw))
    lines = Path("metrics/leaderboard.md").read_text().splitlines()
    names = {line.split("|")[1].strip() for line in lines if line.startswith("|")}
    assert {"cops: official weights", "clip_zero"} <= names
    assert "cops" not in names
    assert "official" not in Path("metrics/leaderboard.csv").read_text()  # its columns are fixed


def test_demo_numbers_are_labelled(cells: None) -> None:
    aggregate(make_params(kind="demo"))
    line = "**Demo data** (scan, steel, wood): procedurally drawn; not comparable with published numbers."
    assert line in Path("metrics/leaderboard.md").read_text()


def test_settings_that_differ_are_all_named(cells: None) -> None:
    settings = {"resolution": [518, 518], "aupro_fpr_limit": 0.3, "connectivity": 8}
    write_cell(make_cell("cops", "wood", {0: 0.6, 1: 0.7}, protocol="paper", metrics=settings))
    write_cell(make_cell("clip_zero", "wood", {0: 0.6, 1: 0.7}, metrics=settings))
    aggregate(make_params())
    text = Path("metrics/leaderboard.md").read_text()
    assert "64 × 48 px (steel), 518 × 518 px (wood)" in text
    assert "Protocol: `strict` and `paper`" in text


def test_few_shot_results_stand_apart(cells: None) -> None:
    for name in DATASETS:
        write_cell(make_cell("apt_4shot", name, {0: 0.9, 1: 0.8}, shots=4, method="apt"))
    aggregate(make_params(("cops", "apt_4shot")))
    few = Path("metrics/leaderboard.md").read_text().split("## 4-shot")[1]
    assert "| apt_4shot: APT (reconstruction) " in few
    assert "cops |" not in few
    assert read_board().loc[("apt_4shot", "wood"), "shots"] == 4


def test_a_category_without_enough_pictures_is_named_with_the_reason(cells: None) -> None:
    cell = make_cell("apt_4shot", "steel", {0: 0.9, 1: 0.8}, shots=4)
    cell["categories"]["two"] = {
        "n_images": 3,
        **dict.fromkeys(METRICS),
        "reason": "1 normal training picture, 4 needed",
    }
    write_cell(cell)
    for name in ("wood", "scan"):
        write_cell(make_cell("apt_4shot", name, {0: 0.9, 1: 0.8}, shots=4))
    aggregate(make_params(("cops", "apt_4shot")))
    text = Path("metrics/leaderboard.md").read_text()
    assert "4-shot on steel: nothing for two: 1 normal training picture, 4 needed (apt_4shot)" in text


def test_strays_are_ignored_and_order_is_that_of_params(cells: None) -> None:
    write_cell(make_cell("removed", "steel", {0: 0.1}))
    write_cell(make_cell("cops", "gone", {0: 0.1}))
    aggregate(make_params())
    lines = Path("metrics/leaderboard.csv").read_text().splitlines()[1:]
    assert [tuple(line.split(",")[i] for i in (0, 5)) for line in lines] == [
        ("cops", "steel"),
        ("cops", "wood"),
        ("cops", "scan"),
        ("clip_zero", "steel"),
        ("clip_zero", "wood"),
    ]


def test_identical_runs_write_identical_files(cells: None) -> None:
    names = ("leaderboard.csv", "leaderboard.md", "summary.json")
    aggregate(make_params())
    first = [(Path("metrics") / name).read_bytes() for name in names]
    aggregate(make_params())
    assert [(Path("metrics") / name).read_bytes() for name in names] == first


def test_a_grid_without_any_meaning_still_makes_tables(cells: None) -> None:
    for name in DATASETS:
        nothing = dict.fromkeys(METRICS)
        write_cell(make_cell("cops", name, {0: 0.1}, reason="trained on it", mean=nothing, sd=nothing, per_seed={}))
    aggregate(make_params(("cops",)))
    assert len(read_board()) == 0
    summary = json.loads(Path("metrics/summary.json").read_text())
    assert summary == {"cops": {"all": dict.fromkeys(METRICS), "undefined": {}, "n_datasets": 0}}
    assert "No cell has metrics." in Path("metrics/leaderboard.md").read_text()


def test_a_missing_cell_names_the_stage(cells: None) -> None:
    with pytest.raises(UserError, match=r"metrics/cells/apt/steel.json: not found; run `dvc repro`"):
        aggregate(make_params(("apt",)))


@pytest.mark.parametrize("text", ["{", "[]", '{"learner": "cops"}'])
def test_a_broken_cell_is_named(cells: None, text: str) -> None:
    Path("metrics/cells/cops/wood.json").write_text(text)
    with pytest.raises(UserError, match=r"metrics/cells/cops/wood.json"):
        aggregate(make_params())


def test_a_value_that_is_no_number_is_refused(cells: None) -> None:
    path = Path("metrics/cells/cops/wood.json")
    path.write_text(path.read_text().replace('"pixel_ap": 0.65', '"pixel_ap": NaN'))
    with pytest.raises(UserError, match=r"wood.json: mean.pixel_ap is nan"):
        aggregate(make_params())


def test_a_domain_that_would_hide_a_total_is_refused(cells: None) -> None:
    write_cell(make_cell("cops", "wood", {0: 0.6}, domain="all"))
    with pytest.raises(UserError, match=r"params.yaml: datasets.wood.domain: 'all'"):
        aggregate(make_params())
