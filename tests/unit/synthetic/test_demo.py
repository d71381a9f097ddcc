"""The demo benchmark is frozen, well formed, and its sets have nothing in common."""

import hashlib
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from zsad.common.errors import UserError
from zsad.config.schema import DatasetParams
from zsad.datasets.demo import demo_sets
from zsad.datasets.index import build_manifest
from zsad_synthetic import demo
from zsad_synthetic.demo.integer_math import Dice, angle_of, cosine, root, sine
from zsad_synthetic.demo.sets import SETS

KEYS = sorted(SETS)
Pictures = Mapping[str, tuple[np.ndarray, np.ndarray | None]]

# sha256 over places, pixels and masks. Published numbers rest on these pictures: a change is a new benchmark.
FROZEN = {
    "demo_medical": "fd40a6a63c16799f5751cb0551ea165464626f56fc7ab674706f23a25e1b52c8",
    "demo_object": "74b5cfc273a5efc5ea015422c2cd2bda39370da0bf070642f130bb870b138ece",
    "demo_source": "ccacec3167e906c250a7e3e6e24c2ab167d4d23a3a095d090a1386c3357f8187",
    "demo_texture": "aefa995b5a3dd9f594b596d5ca79a5d165e21e5bb72c18e191445bd94a733d63",
}


@pytest.fixture(scope="module")
def drawn() -> Mapping[str, Pictures]:
    return {
        key: {
            f"{category}/{place}": (picture, mask)
            for category in SETS[key]
            for place, picture, mask in demo.pictures(key, category)
        }
        for key in KEYS
    }


def digest(pictures: Pictures) -> str:
    total = hashlib.sha256()
    for place, (picture, mask) in sorted(pictures.items()):
        total.update(place.encode() + picture.tobytes() + (b"" if mask is None else mask.tobytes()))
    return total.hexdigest()


@pytest.mark.parametrize("key", KEYS)
def test_pixels_are_frozen(drawn: Mapping[str, Pictures], key: str) -> None:
    assert digest(drawn[key]) == FROZEN[key]


@pytest.mark.parametrize("key", KEYS)
def test_masks_belong_to_anomalies_and_are_clean(drawn: Mapping[str, Pictures], key: str) -> None:
    for place, (picture, mask) in drawn[key].items():
        assert picture.dtype == np.uint8
        assert picture.shape[:2] == (128, 128)
        assert (mask is None) == ("/good/" in place), place
        if mask is not None:
            assert mask.shape == (128, 128)
            assert set(np.unique(mask)) == {0, 255}, place
            assert demo.SMALLEST_MASK <= np.count_nonzero(mask) < mask.size // 4, place


@pytest.mark.parametrize("key", KEYS)
def test_pictures_all_differ(drawn: Mapping[str, Pictures], key: str) -> None:
    assert len({picture.tobytes() for picture, _ in drawn[key].values()}) == len(drawn[key])


@pytest.mark.parametrize("key", KEYS)
def test_budget_and_defect_families(drawn: Mapping[str, Pictures], key: str) -> None:
    assert len(drawn[key]) <= (240 if key == "demo_source" else 80)
    assert all(len(category.defects) >= 2 for category in SETS[key].values())


def test_registry_and_drawings_agree() -> None:
    assert {key: set(categories) for key, categories in SETS.items()} == {
        key: set(entry.categories) for key, entry in demo_sets().items()
    }


def test_classes_and_defects_are_disjoint_between_sets() -> None:
    for one, other in combinations(KEYS, 2):
        assert not demo.CLASSES[one] & demo.CLASSES[other]
        assert not demo.DEFECTS[one] & demo.DEFECTS[other]


def test_another_seed_is_another_benchmark(drawn: Mapping[str, Pictures]) -> None:
    again = demo.pictures("demo_texture", "corduroy", seed=1)
    assert all(not np.array_equal(drawn["demo_texture"][f"corduroy/{place}"][0], new) for place, new, _ in again)


def test_generated_folder_makes_a_manifest(tmp_path: Path) -> None:
    demo.generate("demo_medical", tmp_path, seed=5)
    manifest = build_manifest("demo_medical", DatasetParams(kind="demo", path="unused"), tmp_path)
    assert manifest.counts["retina"] == {"train": 4, "normal": 8, "anomalous": 13}
    assert manifest.has_image_labels
    assert manifest.has_pixel_labels
    assert manifest.size == (128, 128)
    assert manifest.notes == ()
    assert {row.prompt_name for row in manifest.rows} == {"retina", "histology", "bone x-ray"}
    next(tmp_path.glob("retina/train/good/*")).unlink()
    with pytest.raises(UserError, match=r"demo_medical/retina: has \(3, 8, 13\) .* expected \(4, 8, 13\)"):
        build_manifest("demo_medical", DatasetParams(kind="demo", path="unused"), tmp_path)


def test_unknown_set_is_refused_with_the_list(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"datasets\.demo_food\.kind.*demo_source, demo_texture"):
        demo.generate("demo_food", tmp_path)


def test_integer_tables() -> None:
    angles = np.arange(4096)
    assert np.abs(sine(angles) - 4096 * np.sin(angles * np.pi / 2048)).max() < 8
    assert np.abs(cosine(angles) - 4096 * np.cos(angles * np.pi / 2048)).max() < 8
    squares = np.arange(0, 2047**2, 997)
    assert np.array_equal(root(squares), np.floor(np.sqrt(squares)))
    x, y = np.meshgrid(np.arange(-40, 41), np.arange(-40, 41))
    off = (angle_of(x, y) - np.arctan2(y, x) * 2048 / np.pi + 2048) % 4096 - 2048
    assert np.abs(np.where((x == 0) & (y == 0), 0, off)).max() < 8


def test_dice_keep_their_sequence() -> None:
    dice = Dice("a", 1)
    assert [dice.roll(1, 6) for _ in range(8)] == [4, 4, 6, 3, 3, 1, 4, 5]
    assert set(np.unique(Dice("b").rolls(-2, 2, (1000,)))) == {-2, -1, 0, 1, 2}
