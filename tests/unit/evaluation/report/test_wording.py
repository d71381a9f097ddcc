"""The summary's words follow from the numbers: other numbers, other words."""

from tests.helpers.report_cases import make_cell
from zsad.evaluation.report.differences import rank
from zsad.evaluation.report.material import Material, Track
from zsad.evaluation.report.wording import sentence, summary


def told(*cells: dict) -> str:
    found = rank(Track(0, list(cells)), "image_auroc", ["wood"], {})
    assert found
    return sentence(found)


def test_a_sure_lead() -> None:
    text = told(make_cell("a", "wood", 0.9, 0.001, 0.01), make_cell("b", "wood", 0.6, 0.001, 0.01))
    assert text.startswith(
        "a has the highest image AUROC, 0.900, and is better than every other: ahead of b by 0.300 [0.2"
    )


def test_an_unsure_lead_and_whom_it_still_beats() -> None:
    cells = [make_cell(name, "wood", value, 0.001, 0.01) for name, value in (("a", 0.9), ("b", 0.89), ("c", 0.6))]
    text = told(*cells)
    assert "but b cannot be told apart from it (ahead of b by 0.010 [−0." in text
    assert "; it is better than c" in text


def test_the_lead_changes_hands_with_the_numbers() -> None:
    assert told(make_cell("a", "wood", 0.6), make_cell("b", "wood", 0.9)).startswith("b has the highest")


def test_an_unknown_uncertainty() -> None:
    cells = [make_cell(name, "wood", value, 0.0, None) for name, value in (("a", 0.9), ("b", 0.8))]
    assert "ahead of b by 0.100; how sure that is, nothing here tells" in told(*cells)


def whole(*cells: dict) -> str:
    material = Material(None, list(cells), [])  # type: ignore[arg-type]  # the summary asks no parameter
    tracks = summary(material, lambda track, metric, datasets: rank(track, metric, datasets, {}))
    return "\n".join(f"{one.where}: {' '.join(one.sentences)}" for _, found in tracks for one in found)


def in_domain(domain: str, learner: str, value: float, **changes: object) -> dict:
    return {**make_cell(learner, f"of {domain}", value), "domain": domain, **changes}


def test_domains_agree_or_not() -> None:
    same = [in_domain(d, name, v) for d in ("x", "y") for name, v in (("a", 0.9), ("b", 0.5))]
    assert "across domains: a leads in image AUROC in each of the 2 domains." in whole(*same)
    other = [*same[:2], in_domain("y", "a", 0.5), in_domain("y", "b", 0.9)]
    assert "across domains: The lead in image AUROC changes with the domain: a and b." in whole(*other)
    assert "mean of 2 shared datasets: " in whole(*other)


def test_who_has_no_rival_and_who_may_not_compete() -> None:
    text = whole(in_domain("x", "a", 0.9), in_domain("x", "p", 0.99, protocol="paper"))
    assert "x: Only a was scored on of x" in text
    assert "protocol paper: p: may choose from the target" in text
    assert "p has the highest" not in text
