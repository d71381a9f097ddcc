"""Which pictures a few-shot configuration is adapted to."""

from pathlib import Path

import pytest

from zsad.datasets.manifest import Manifest, Row
from zsad.training.support_set import draw_supports


def row(name: str, category: str = "gear", split: str = "train", label: int = 0, pixels: str = "") -> Row:
    return Row(f"{category}/{split}/{name}", category, category, label, "", split, "", 8, 8, pixels or category + name)


def manifest(*rows: Row) -> Manifest:
    facts = {"has_image_labels": True, "has_pixel_labels": False, "size": (8, 8), "mask_rule": "gt127"}
    return Manifest("set", "folder", "d", Path(), **facts, hash="h", counts={}, notes=(), rows=rows)


TESTED = [row("t0", split="test"), row("t1", split="test", label=1)]
TRAIN = [row(f"{i}") for i in range(9)]


def names(rows: list[Row]) -> list[str]:
    return [row.path for row in rows]


def test_fewer_shots_are_the_first_of_more_and_seeds_differ() -> None:
    drawn = {k: draw_supports(manifest(*TESTED, *TRAIN), k, [0, 1, 2]).by_seed for k in (1, 2, 4)}
    for seed in (0, 1, 2):
        four = names(drawn[4][seed]["gear"])
        assert len(set(four)) == 4
        assert names(drawn[2][seed]["gear"]) == four[:2]
        assert names(drawn[1][seed]["gear"]) == four[:1]
    assert len({tuple(names(drawn[4][seed]["gear"])) for seed in (0, 1, 2)}) == 3


def test_the_draw_follows_names_alone() -> None:
    """Neither the order of the manifest nor other categories nor what else is tested changes it."""
    plain = draw_supports(manifest(*TESTED, *TRAIN), 2, [5])
    other = draw_supports(manifest(row("a", "key"), row("t2", split="test"), *TRAIN[::-1], *TESTED), 2, [5])
    assert names(plain.by_seed[5]["gear"]) == names(other.by_seed[5]["gear"])
    assert plain.paths == {"5": {"gear": names(plain.by_seed[5]["gear"])}}


@pytest.mark.parametrize(
    ("train", "reason"),
    [
        ([], "no normal training pictures"),
        ([row("x", label=1)], "no normal training pictures"),
        ([row("0"), row("1")], "2 normal training pictures, 3 needed"),
        ([row("0"), row("1"), row("2", pixels="gear0")], "2 normal training pictures (1 more repeat others"),
        ([row("0"), row("1"), row("2", pixels="geart0")], "or stand in the test split), 3 needed"),
    ],
    ids=["none", "only anomalous", "too few", "the same twice", "a picture of the test split"],
)
def test_a_category_without_enough_pictures_is_left_out_with_the_reason(train: list[Row], reason: str) -> None:
    supports = draw_supports(manifest(*TESTED, *train), 3, [0])
    assert reason in supports.left_out["gear"]
    assert supports.by_seed == {}


def test_one_category_may_be_left_out_and_another_adapted() -> None:
    supports = draw_supports(manifest(*TESTED, *TRAIN, row("t", "key", "test")), 1, [0])
    assert list(supports.by_seed[0]) == ["gear"]
    assert supports.left_out == {"key": "no normal training pictures"}
