"""metrics/vs_published.csv from cells as the paper profile makes them; no row for demo sets."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.conftest import shipped
from tests.helpers.gate_cases import make_cell, write_cell
from zsad.config.params import Params
from zsad.evaluation.aggregate import aggregate
from zsad.evaluation.published.beside import COLUMNS

ENTRIES = "src/zsad/datasets/entries"
LEARNERS: dict[str, Any] = {
    "cops": {},
    "cops_paper": {"method": "cops", "protocol": "paper"},
    "winclip": {},
    "anomalyclip_mvtec": {"method": "anomalyclip", "source": "mvtec"},
}
CSV = Path("metrics/vs_published.csv")


def make_params(**datasets: Any) -> Params:
    sets = {name: {"kind": "official", "path": f"{ENTRIES}/{name}.yaml"} for name in ("mvtec", "visa", "btad")}
    return Params.model_validate(
        {
            "seeds": [0],
            "backbones": {"default": {"name": "ViT-L-14-336", "pretrained": "openai", "image_size": 518}},
            "sources": {"mvtec": {}, "visa": {}},
            "datasets": {**sets, **datasets},
            "learners": LEARNERS,
            "few_shot": {"winclip_plus_2shot": {"method": "winclip_plus", "shots": 2}},
            "gate": {"cell": {}, "mean": {}},
        }
    )


def write_cells(params: Params, **changes: Any) -> None:
    """Every metric 0.9, trained on VisA for every set but VisA, at 518 px."""
    for key in params.configurations:
        one = params.configuration(key)
        for dataset in params.datasets:
            source = one.source or ("mvtec" if dataset == "visa" else "visa")
            own = {"source": None if one.shots or one.method == "winclip" else source, "shots": one.shots}
            facts = {"method": one.method, "protocol": one.protocol, **own, **changes}
            cell = {**make_cell(key, dataset, 0.9), **facts}
            cell["metrics"] = {"resolution": [518, 518], "aupro_fpr_limit": 0.3, "connectivity": 8}
            if source == dataset:
                cell |= {"reason": f"{key} is trained on {dataset}"}
            write_cell(cell)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table() -> pd.DataFrame:
    return pd.read_csv(CSV, keep_default_na=True)


def row(frame: pd.DataFrame, learner: str, dataset: str, metric: str, source: str = "") -> pd.Series:
    found = frame[(frame.learner == learner) & (frame.dataset == dataset) & (frame.metric == metric)]
    found = found[found.published_source.str.contains(source, regex=False)]
    assert len(found) == 1
    return found.iloc[0]


def test_ours_theirs_and_the_gap(place: Path) -> None:
    params = make_params()
    write_cells(params)
    aggregate(params)
    frame = table()
    assert tuple(frame.columns) == COLUMNS
    mvtec = row(frame, "cops", "mvtec", "image_auroc")
    assert mvtec.to_dict() == {
        "learner": "cops",
        "method": "cops",
        "protocol": "strict",
        "source": "visa",
        "dataset": "mvtec",
        "metric": "image_auroc",
        "ours": 0.9,
        "published": 0.95,
        "gap": -0.05,
        "published_source": "CoPS README",
        "quoted": "own",
    }
    assert row(frame, "cops_paper", "visa", "pixel_ap")["gap"] == pytest.approx(0.9 - 0.234)
    assert row(frame, "cops_paper", "visa", "pixel_ap")["protocol"] == "paper"
    assert row(frame, "winclip", "mvtec", "image_auroc", "Tables")["gap"] == pytest.approx(0.9 - 0.918)
    assert row(frame, "winclip_plus_2shot", "visa", "image_ap")["published"] == 0.846  # not that of 1 or 4 shots
    assert set(frame.learner) == {*LEARNERS, "winclip_plus_2shot"}


def test_no_gap_where_source_or_measure_differ(place: Path) -> None:
    params = make_params()
    write_cells(params)
    aggregate(params)
    frame = table()
    assert pd.isna(row(frame, "winclip", "mvtec", "pixel_auroc", "Tables")["gap"])  # its resolution is not stated
    same = row(frame, "anomalyclip_mvtec", "btad", "image_auroc")
    assert same["gap"] == pytest.approx(0.9 - 0.883)
    aupro = row(frame, "anomalyclip_mvtec", "btad", "pixel_aupro")
    assert (aupro["ours"], aupro["published"]) == (0.9, 0.748)
    assert pd.isna(aupro["gap"])  # 200 thresholds there
    assert "mvtec" not in set(frame[frame.learner == "anomalyclip_mvtec"].dataset)  # its source: not applicable

    write_cells(params, source="visa")
    aggregate(params)
    assert pd.isna(row(table(), "anomalyclip_mvtec", "btad", "image_auroc")["gap"])


@pytest.mark.parametrize(
    ("changes", "metric"),
    [
        ({"metrics": {"resolution": [256, 256], "aupro_fpr_limit": 0.3, "connectivity": 8}}, "pixel_auroc"),
        ({"undefined": {"image_auroc": 1}}, "image_auroc"),
        ({"mean": dict.fromkeys(make_cell("x", "y")["mean"])}, "image_auroc"),
    ],
)
def test_no_gap_where_ours_is_another_number(place: Path, changes: dict[str, Any], metric: str) -> None:
    params = make_params()
    write_cells(params)
    write_cell({**make_cell("cops", "mvtec", 0.9), "method": "cops", "source": "visa", **changes})
    aggregate(params)
    assert pd.isna(row(table(), "cops", "mvtec", metric)["gap"])


def test_demo_sets_and_own_folders_have_no_published_figures(place: Path) -> None:
    raw = yaml.safe_load(shipped("params.yaml"))
    demo = Params.model_validate({**raw, "learners": {"cops": {}}, "few_shot": {}})
    for dataset in demo.datasets:
        write_cell({**make_cell("cops", dataset), "method": "cops"})
    CSV.write_text("of a run of the paper profile before\n")
    aggregate(demo)
    assert len(table()) == 0

    folder = make_params(mvtec={"kind": "folder", "path": "photos"})
    write_cells(folder)
    aggregate(folder)
    assert "mvtec" not in set(table().dataset)


def test_an_entry_of_ones_own_is_another_curation(place: Path) -> None:
    """The name of a published set, other contents: its numbers do not compare."""
    from zsad.datasets.catalogue import FOLDER

    entry = yaml.safe_load((FOLDER / "mvtec.yaml").read_text())
    (place / "mvtec.yaml").write_text(yaml.safe_dump({**entry, "mask_threshold": "nonzero"}))
    params = make_params(mvtec={"kind": "official", "path": "mvtec.yaml"})
    write_cells(params)
    aggregate(params)
    assert "mvtec" not in set(table().dataset)


def test_the_folder_of_a_set_is_found_by_its_id(place: Path) -> None:
    params = make_params(steel={"kind": "official", "path": "unpacked", "id": "mpdd"})
    write_cells(params)
    aggregate(params)
    assert row(table(), "cops", "steel", "image_auroc")["published"] == 0.786
