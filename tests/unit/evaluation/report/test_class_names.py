"""Changes under other class names, in the report."""

from typing import Any

import pytest

from tests.helpers.report_cases import make_cell, make_params, read
from zsad.evaluation.report.class_names import class_names_tables
from zsad.evaluation.report.material import Material
from zsad.evaluation.report.page import Measured, page

GERMAN = {"left": "links"}
NAMINGS: dict[str, Any] = {"missing": "object", "wrong": "other", "german": GERMAN}


def change(*by_seed: float, score: float = 0.1) -> dict[str, Any]:
    mean = {"score": score, "score_sd": 2 * score, "image_auroc": sum(by_seed) / len(by_seed), "pixel_auroc": None}
    return {"mean": mean, "sd": {}, "per_seed": {str(s): {**mean, "image_auroc": v} for s, v in enumerate(by_seed)}}


def material(*changes: tuple[str, str, dict[str, Any]]) -> Material:
    cells = [{**make_cell(key, dataset, 0.8), "n_images": 4, "class_names": own} for key, dataset, own in changes]
    metrics = {"metrics": {"resolution": [8, 8], "aupro_fpr_limit": 0.3}, "dataset_hash": "h"}
    params = make_params().model_copy(update={"class_names": NAMINGS})
    return Material(params, [{**cell, **metrics} for cell in cells], [])


def test_means_over_datasets_and_spread_of_the_seeds_means() -> None:
    one = {"missing": change(-0.02, -0.04), "german": change(0.0, 0.0, score=0.0)}
    two = {"missing": change(-0.06, -0.06, score=0.3)}
    tables = class_names_tables(material(("cops", "wood", one), ("cops", "retina", two)))
    assert [table.caption.split(":")[0] for table in tables] == ["missing", "german"]  # nobody has `wrong`
    assert tables[0].columns == ["learner", "|Δ score|", "|Δ score| / sd", "Δ I-AUROC", "Δ P-AUROC"]
    ((head, score, share, image, pixel),) = tables[0].rows
    assert (head.text, head.note, pixel.text) == ("cops", "2 datasets", "–")
    assert (score.text, share.text) == ("0.200 ± 0.000", "0.400 ± 0.000")
    assert image.text == "−0.045 ± 0.007"  # seeds: -0.04, -0.05
    assert image.key == pytest.approx(-0.045)
    assert tables[1].rows[0][0].note == "1 dataset"


def test_the_page_has_a_section_for_them_where_there_are_any() -> None:
    shown = read(page(material(("cops", "wood", {"missing": change(0.05)})), Measured()))
    assert shown.tables["missing: every class is called “object”"][1] == [
        "cops 1 dataset",
        "0.100",
        "0.200",
        "+0.050",
        "–",
    ]
    assert ("a", {"href": "#names"}) in shown.tags
    assert "names" not in {
        attributes.get("id") for _, attributes in read(page(material(("cops", "wood", {})), Measured())).tags
    }
