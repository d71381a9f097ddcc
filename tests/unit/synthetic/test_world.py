"""The procedural world: deterministic, labelled exactly, varied, and disjoint from the demo benchmark."""

import cv2
import numpy as np
import pytest

from zsad_synthetic.pretraining import tokens, world
from zsad_synthetic.pretraining.stream import OPEN, Stream, StreamConfig, patch_shares, views
from zsad_synthetic.pretraining.world.canvas import Canvas
from zsad_synthetic.pretraining.world.vocabulary import ALIASES, DEFECT_WORDS, texts

DEMO_CLASSES = "linen terrazzo gasket tablet corduroy cork honeycomb gear key bulb retina histology tissue bone"
DEMO_DEFECTS = "snag notch rib burn crushed tooth shaft dent haemorrhage exudate fracture cyst"
FIXED_WORDS = """object . damaged X N A a photo of the my one flawless perfect unblemished without with flaw defect
damage cropped close-up bright dark jpeg corrupted blurry small large
for visual inspection anomaly detection broken crack"""


@pytest.mark.parametrize("kind", world.KINDS)
def test_every_kind_renders_twins_that_differ_in_the_defect(kind: str) -> None:
    scene = world.render(np.random.default_rng(7), [kind], size=96)
    assert scene.normal.shape == scene.anomalous.shape == (96, 96, 3)
    assert scene.normal.dtype == scene.anomalous.dtype == np.uint8
    assert scene.normal.std() > 1
    assert scene.mask.any()
    difference = np.abs(scene.normal.astype(int) - scene.anomalous).max(-1)
    assert difference[scene.mask].mean() > 4 * difference[~scene.mask].mean()


@pytest.mark.parametrize("family", world.FAMILIES)
def test_every_family_marks_its_extent(family: str) -> None:
    rng, size = np.random.default_rng(3), 96
    pictures = [world.MATERIALS[name](rng, size) for name in ("wood", "plastic", "felt")]
    canvas = Canvas(pictures[0], np.ones((size, size), np.float32), *pictures[1:])
    defect = world.DEFECTS[family](rng, canvas)
    assert defect.picture.shape == canvas.picture.shape
    assert 0 <= defect.extent.min() < defect.extent.max() <= 1
    assert not np.allclose(defect.picture, canvas.picture)


def test_most_defects_of_objects_show_at_the_size_the_model_sees() -> None:
    rng, kinds = np.random.default_rng(5), [k for k in world.OBJECTS if k not in world.HELD_OUT]
    shares = []
    for _ in range(30):
        scene = world.render(rng, kinds)
        change = np.abs(scene.anomalous.astype(np.float32) - scene.normal).max(-1) * scene.mask
        seen = cv2.resize(cv2.GaussianBlur(change, (0, 0), 1.2), (112, 112), interpolation=cv2.INTER_AREA)
        shares.append((seen > 20).sum() >= 30)
    assert np.mean(shares) > 0.7


def test_a_warped_outline_leaves_its_region() -> None:
    size = 96
    region = np.zeros((size, size), np.float32)
    region[20:76, 36:60] = 1
    thing, ground = (np.full((size, size, 3), tone, np.float32) for tone in (0.9, 0.1))
    canvas = Canvas(np.where(region[..., None] > 0, thing, ground), region, ground, thing)
    moved = [world.DEFECTS["warped outline"](np.random.default_rng(seed), canvas) for seed in range(6)]
    assert all(((d.picture[..., 0] > 0.5) != (region > 0)).sum() > 20 for d in moved)
    assert all((d.extent > 0.35)[(d.picture[..., 0] > 0.5) != (region > 0)].mean() > 0.85 for d in moved)


def test_rendering_depends_on_the_seed_alone() -> None:
    first, again, other = (world.render(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.anomalous, again.anomalous)
    assert np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.anomalous, other.anomalous)


def test_views_of_a_scene_share_everything_but_the_defect() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        normal, anomalous = views(rng, world.render(rng), 112)
        assert normal.family is None
        assert not normal.mask.any()
        assert anomalous.mask.any()
        assert normal.picture.shape == anomalous.picture.shape == (112, 112, 3)


def test_every_kind_and_family_has_names() -> None:
    assert set(ALIASES) == set(world.KINDS)
    assert set(DEFECT_WORDS) == set(world.FAMILIES)


def test_nothing_of_the_demo_benchmark_is_named() -> None:
    words = {word.strip(".,").lower() for text in texts() for word in text.split()}
    assert not words & set(DEMO_CLASSES.split())
    defect_words = {w for f in world.FAMILIES for w in f.split()} | {
        w for t in DEFECT_WORDS.values() for w in " ".join(t).split()
    }
    assert not defect_words & set(DEMO_DEFECTS.split())


def test_captions_vary_and_never_contradict_the_picture() -> None:
    rng = np.random.default_rng(0)
    captions = [world.describe(rng, "screw", "crack" if i % 2 else None) for i in range(400)]
    assert len({c.text for c in captions}) > 350
    assert all(c.anomalous == bool(i % 2) for i, c in enumerate(captions))
    assert 0.3 < np.mean([c.kind is None for c in captions]) < 0.7


def test_state_pairs_share_their_noun() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        normal, anomalous = world.state_pair(rng)
        assert (normal.anomalous, anomalous.anomalous) == (False, True)
        assert set(normal.text.strip(".").split()) & set(anomalous.text.strip(".").split())


def test_the_words_of_fixed_prompts_have_rows_of_their_own() -> None:
    encoded = tokens.encode(FIXED_WORDS.split())
    for row, end in zip(encoded.rows, encoded.ends, strict=True):
        assert (row[: end + 1] != tokens.UNKNOWN).all()


def test_a_batch_depends_on_seed_and_step_and_can_start_anywhere() -> None:
    config = StreamConfig(scenes=2, pairs=2, pool=6, renders=2)
    from_start, from_second = iter(Stream(config, 5)), iter(Stream(config, 5, first=1))
    next(from_start)
    one, two = next(from_start), next(from_second)
    assert np.array_equal(one.pixels, two.pixels)
    assert np.array_equal(one.texts.rows, two.texts.rows)


def test_a_batch_is_labelled_consistently() -> None:
    batch = next(iter(Stream(StreamConfig(scenes=12, pairs=3, pool=12, renders=1), 0)))
    assert np.array_equal(batch.shown.anomalous, batch.defect.max(1) > 0)
    assert np.array_equal(batch.shown.anomalous, batch.told.anomalous)
    named = batch.told.kind != OPEN
    assert np.array_equal(batch.told.kind[named], batch.shown.kind[named])
    assert len(batch.texts.rows) == 24 + 2 * 3 + 1 + len(world.FAMILIES)


def test_patch_shares_count_pixels_row_by_row() -> None:
    mask = np.zeros((16, 16), bool)
    mask[0:4, 8:16] = True
    assert patch_shares(mask, 8).tolist() == [0, 0.5, 0, 0]
