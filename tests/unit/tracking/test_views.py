"""Views of the comparison: in the envelope that MLflow's pages read, the best first, a view a domain."""

import base64
import json
import zlib
from typing import Any

from tests.helpers.gate_cases import make_cell
from tests.unit.tracking.test_standings import PARAMS
from zsad.tracking.standings import Standing
from zsad.tracking.views import PREFIX, address, view_tags

CELLS = [make_cell("cops", "wood"), make_cell("cops", "retina") | {"domain": "medical"}]
STANDING = Standing(PARAMS.configuration("cops"), CELLS, [], frozenset({"wood", "retina"}))


def test_a_view_for_all_and_one_a_domain_sorted_by_its_metric() -> None:
    tags = view_tags([STANDING], created=1000)
    names = ["leaderboard", "domain_industrial", "domain_medical"]
    assert list(tags) == [f"{PREFIX}{name}" for name in names]
    envelopes = [json.loads(tag) for tag in tags.values()]
    assert [envelope["name"] for envelope in envelopes] == ["Leaderboard", "Domain industrial", "Domain medical"]
    assert [envelope["createdAt"] for envelope in envelopes] == [1000, 999, 998]
    states = [unpacked(envelope["state"]) for envelope in envelopes]
    assert [state["orderByKey"] for state in states] == [
        "metrics.`all/image_auroc`",
        "metrics.`domain/industrial/image_auroc`",
        "metrics.`domain/medical/image_auroc`",
    ]
    assert not any(state["orderByAsc"] for state in states)
    assert states[2]["selectedColumns"][:2] == [
        "metrics.`domain/medical/image_auroc`",
        "metrics.`domain/medical/pixel_auroc`",
    ]
    sections = {section["uuid"] for section in states[0]["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in states[0]["compareRunCharts"]} == sections


def unpacked(state: str) -> dict[str, Any]:
    return json.loads(zlib.decompress(base64.b64decode(state.removeprefix("deflate;"))))


def test_a_view_of_many_domains_fits_into_a_tag() -> None:
    cells = [make_cell("cops", f"set_{number}") | {"domain": f"domain_{number}"} for number in range(40)]
    standing = Standing(PARAMS.configuration("cops"), cells, [], frozenset(cell["dataset"] for cell in cells))
    assert max(len(tag) for tag in view_tags([standing], created=0).values()) < 20_000  # MLflow's limit


def test_the_address_of_a_view_switches_to_model_training() -> None:
    assert address("1", "leaderboard", charts=True) == (
        "#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=leaderboard&compareRunsMode=CHART"
    )
