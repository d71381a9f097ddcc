"""What descriptions say: intervals, limits that follow from numbers, what a challenger has other than the champion."""

from pathlib import Path

import pytest

from tests.helpers.gate_cases import make_cell
from tests.unit.tracking.test_standings import PARAMS
from zsad.common.io import read_json
from zsad.config.params import Params
from zsad.evaluation.metrics.names import METRICS
from zsad.inference.calibration import calibrate
from zsad.tracking.candidates import Candidate
from zsad.tracking.cards import changes, model_card, version_card, with_calibrations
from zsad.tracking.history import Training
from zsad.tracking.standings import Standing
from zsad.tracking.tables import tables_of, write_tables

DEMO = Params.model_validate({**PARAMS.model_dump(), "datasets": {"wood": {"kind": "demo", "path": "x"}}})


def candidate(low: float = 0.7, **start: object) -> Candidate:
    told = {
        "learner": "cops",
        "source": "aux",
        "method": "cops",
        "protocol": "strict",
        "params": {"seeds": [0, 1], "backbone": {"name": "embedded", "image_size": 112}},
        "dataset": {"name": "aux", "hash": "d" * 40, "n_images": 240},
        **start,
    }
    cell = make_cell("cops", "wood") | {"interval": {"image_auroc": [low, 0.9]}, "se": {}}
    cell["mean"] = {**cell["mean"], "pixel_aupro": None}
    tags = {"seed": "0", "config_hash": "c" * 16}
    return Candidate("cops", Training(told, 0), "0", Path("x"), [cell], tags)


def test_a_card_tells_data_metrics_with_intervals_limits_and_how_to_load() -> None:
    card = version_card(PARAMS, candidate())
    assert "| wood | industrial | 0.800 [0.700, 0.900] | 0.800 | – |" in card
    assert "`aux`, 240 pictures, trained on its test split" in card
    assert "Some metrics have no meaning on `wood`" in card
    assert 'zsad.load("models:/cops@champion")' in card
    assert "chance" not in card
    assert "Demo" not in card


def test_limits_follow_from_the_numbers() -> None:
    card = version_card(DEMO, candidate(low=0.45))
    assert "May be no better than chance at telling pictures apart: `wood`" in card
    assert "Demo data, procedurally drawn: not comparable with published numbers" in card


def test_a_few_shot_card_says_what_it_was_adapted_to() -> None:
    adapted = candidate(shots=2, source="wood", method="apt")
    assert "For `wood` alone" in version_card(PARAMS, adapted)
    assert 'category="NAME"' in version_card(PARAMS, adapted)
    assert "APT (reconstruction)" in model_card(adapted)


def test_an_imported_card_names_the_official_file_and_whose_word_it_is() -> None:
    settings = {"seeds": [0], "backbone": {"name": "ViT-L-14-336", "image_size": 518}, "imported": "f" * 64}
    card = version_card(PARAMS, candidate(params=settings))
    assert f"Weights: official, imported from the file with sha256 `{'f' * 64}`." in card
    assert "`aux`, 240 pictures, which they were trained on, by the word of whoever imported them" in card


def test_thresholds_stand_before_the_limits_and_change_what_these_say() -> None:
    card = version_card(PARAMS, candidate())
    assert "there is no threshold" in card
    assert with_calibrations(card, []) == card
    scores = [0.01 * number for number in range(99)]
    one, other = (calibrate(name, 0.05, scores, scores, checkpoint_sha256="x") for name in ("LINE3", "LINE4"))
    told = with_calibrations(with_calibrations(card, [other]), [one])  # in place of what was there
    low, high = one.interval()
    assert told.count("**Calibrations**") == 1
    assert f"| `LINE3` | 0.9400 | 0.05 | 99 | [{low:.3f}, {high:.3f}] |" in told
    assert "LINE4" not in told
    assert told.index("LINE3") < told.index("**Limits**")
    assert "there is no threshold" not in told
    assert "A threshold holds for pictures such as those" in told
    assert told.endswith(card[card.index("**Load it**") :])


def test_changes_since_the_champion_are_settings_and_metrics_that_both_have() -> None:
    before = {("image_auroc", "wood"): 0.80, ("pixel_auroc", "wood"): 0.90, ("image_auroc", "gone"): 0.5}
    after = {("image_auroc", "wood"): 0.75, ("pixel_auroc", "wood"): 0.9001, ("image_auroc", "new"): 0.5}
    told = changes("3", before, after, {"lr": ("0.001", "0.0005"), "extra": ("", "2")})
    assert "champion, version 3" in told
    assert "- `lr`: 0.001 → 0.0005" in told
    assert "- `extra`: – → 2" in told
    assert "| wood | image_auroc | 0.800 | 0.750 | −0.050 |" in told
    assert told.count("| wood |") == 1  # the other differs by less than is shown
    assert "gone" not in told
    assert "The same settings" in changes("3", before, before, {})


def test_tables_have_a_row_a_metric_a_category_and_a_defect_type(tmp_path: Path) -> None:
    values = dict.fromkeys(METRICS, 0.5)
    category = {"n_images": 9, "n_anomalous": 4, **values, "defects": {"hole": {"n_images": 4, **values}}}
    cell = make_cell("cops", "wood") | {"interval": {"image_auroc": [0.7, 0.9]}, "categories": {"plank": category}}
    standing = Standing(PARAMS.configuration("cops"), [cell], [], frozenset({"wood"}))
    paths = write_tables(tables_of(standing), tmp_path)
    assert paths == ["tables/datasets.json", "tables/categories.json", "tables/defects.json"]
    datasets, categories, defects = (read_json(tmp_path / path) for path in paths)
    row = dict(zip(datasets["columns"], datasets["data"][0], strict=True))
    assert (row["metric"], row["mean"], row["low"], row["high"]) == ("image_auroc", 0.8, 0.7, 0.9)
    assert categories["data"][0][:4] == ["wood", "plank", 9, 4]
    assert defects["data"][0][:4] == ["wood", "plank", "hole", 4]


@pytest.mark.parametrize("name", ["datasets", "categories", "defects"])
def test_a_table_without_rows_is_not_written(tmp_path: Path, name: str) -> None:
    assert write_tables({name: []}, tmp_path) == []
