"""The verdict as JUnit XML. (Its Markdown is tested with the gate.)"""

import xml.etree.ElementTree as ET
from pathlib import Path

from tests.helpers.gate_cases import make_cell, path_of, repo, run, write_cell

__all__ = ["repo"]  # the fixture, by which pytest finds it


def test_every_cell_and_mean_is_a_test_case(repo: Path) -> None:
    write_cell(make_cell("cops", "wood"), pixel_ap=0.7)
    path_of("clip_zero", "steel").unlink()
    suite = ET.fromstring(run().junit)
    assert suite.attrib == {"name": "zsad gate", "tests": "6", "failures": "2", "errors": "1"}
    cases = {(case.get("classname"), case.get("name")): case for case in suite}
    assert set(cases) == {
        *(("gate.cops", name) for name in ("wood", "steel", "mean of 2")),
        *(("gate.clip_zero", name) for name in ("wood", "mean of 1")),
        ("gate", "cannot compare"),
    }
    failure = cases["gate.cops", "wood"].find("failure")
    assert failure is not None
    assert failure.text == "pixel_ap: 0.8000 → 0.7000 (tolerance 0.03)"
    assert cases["gate.cops", "steel"].find("failure") is None
    error = cases["gate", "cannot compare"].find("error")
    assert error is not None
    assert "clip_zero on steel: no metrics/cells" in str(error.get("message"))


def test_an_unchanged_tree_has_no_failure(repo: Path) -> None:
    suite = ET.fromstring(run().junit)
    assert (suite.get("failures"), suite.get("errors"), suite.get("tests")) == ("0", "0", "6")
