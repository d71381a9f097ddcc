"""Ranks over datasets: when there is a diagram, and that a reader is warned where it can show nothing."""

from tests.helpers.report_cases import make_cell
from zsad.evaluation.report.material import Track
from zsad.evaluation.report.ranks import ranks


def track(learners: str, datasets: int) -> Track:
    return Track(0, [make_cell(a, f"set_{d}", 0.9 - 0.1 * n) for n, a in enumerate(learners) for d in range(datasets)])


def test_a_diagram_of_three_learners() -> None:
    one = ranks(track("abc", 3), "image_auroc")
    assert one is not None
    assert one.title == "Zero-shot, image AUROC"
    assert one.test.mean_ranks == {"a": 1.0, "b": 2.0, "c": 3.0}
    assert not one.test.can_tell
    assert 'aria-label="Mean ranks, Zero-shot, image AUROC: a 1.00, b 2.00, c 3.00"' in one.diagram
    assert "currentColor" in one.diagram
    assert "#000000" not in one.diagram


def test_many_datasets_can_tell() -> None:
    one = ranks(track("abc", 12), "image_auroc")
    assert one is not None
    assert one.test.can_tell


def test_too_few() -> None:
    assert ranks(track("ab", 3), "image_auroc") is None
    assert ranks(track("abc", 1), "image_auroc") is None
