"""What a trainer reads of its source: frozen features, masks, and a pool of random views."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.workplace import workplace as prepared
from zsad.clip.backbone import FeatureSpec, load_clip
from zsad.clip.inputs import preprocess
from zsad.common.errors import UserError
from zsad.datasets.manifest import load_manifest
from zsad.datasets.masks import resize_mask_paper
from zsad.learners.lookup import build_config, learner_class
from zsad.training.features import SourceData
from zsad.training.references import draw_references


@pytest.fixture
def workplace(tmp_path, backbone):
    """A working directory with a backbone and six pictures, every second one anomalous."""
    with prepared(tmp_path, backbone(family="other"), 6):
        yield tmp_path


def test_features_are_those_of_the_tower(workplace):
    """What training reads from disk is what the image tower gives, in the manifest's order, with its masks."""
    clip = load_clip(Path("data/weights/default"), 48, "quickgelu", "bilinear", torch.device("cpu"))
    data, spec = SourceData(load_manifest("source"), clip, workplace / "features"), FeatureSpec(cls=True, vv_start=1)
    data.encode(spec, 4, "fp32", resize_first=False)
    images = np.stack([preprocess(workplace / "pictures" / f"{i}.png", 48) for i in (5, 0)])
    batch, wanted = data.batch([5, 0]), clip.image.encode(torch.from_numpy(images), spec)
    torch.testing.assert_close(batch.features.cls, wanted.cls, rtol=0, atol=1e-5)
    torch.testing.assert_close(batch.features.patches, wanted.patches, rtol=0, atol=1e-5)
    assert batch.labels.tolist() == [1, 0]
    assert batch.masks[0].bool().numpy().tolist() == resize_mask_paper(workplace / "pictures/5_mask.png", 48).tolist()
    assert batch.masks[0].sum() > 0
    assert batch.masks[1].sum() == 0


def test_a_learner_is_told_the_precision_that_its_entry_was_computed_in(workplace):
    clip = load_clip(Path("data/weights/default"), 48, "gelu", "bilinear", torch.device("cpu"))
    for precision in ("fp32", "bf16"):
        data = SourceData(load_manifest("source"), clip, workplace / precision)
        data.encode(FeatureSpec(entry=1), 4, precision, resize_first=False)
        features = data.batch([2, 4]).features
        assert (features.precision, features.entry.shape) == (precision, (2, 37, 128))


def test_pictures_without_a_usable_mask_are_not_trained_on(workplace, clip):
    manifest = load_manifest("source")
    bare = replace(manifest.rows[3], mask="")
    rows = (*manifest.rows[:3], bare, *manifest.rows[4:])
    data = SourceData(replace(manifest, rows=rows), clip, workplace)
    assert [row.path for row in data.rows] == ["0.png", "1.png", "2.png", "4.png", "5.png"]
    assert data.labels.tolist() == [0, 1, 0, 0, 1]
    assert data.masks.any(axis=1).tolist() == [False, True, False, False, True]


def test_pool_of_views(workplace):
    """Two views of each of six pictures: the same in every process, unlike each other and unlike the pictures."""
    clip = load_clip(Path("data/weights/default"), 48, "gelu", "bilinear", torch.device("cpu"))
    learner = learner_class("bayes_pfl")(build_config("bayes_pfl", {"mosaic": 0.5}, "x"), clip)
    pools = []
    for batch_size in (3, 5):
        data = SourceData(load_manifest("source"), clip, workplace / f"features_{batch_size}", 2, learner.view)
        data.encode(FeatureSpec(cls_post=True), batch_size, "fp32", resize_first=False)
        pools.append(data.batch(range(12)))
    assert len(data) == 6
    torch.testing.assert_close(pools[0].features.cls_post, pools[1].features.cls_post, rtol=0, atol=1e-5)
    assert torch.equal(pools[0].masks, pools[1].masks)
    assert torch.equal(pools[0].labels, pools[1].labels)
    assert pools[0].labels.tolist() != [0, 0, 1, 1] * 3  # mosaics of anomalous pictures are anomalous
    plain = SourceData(load_manifest("source"), clip, workplace / "plain")
    plain.encode(FeatureSpec(cls_post=True), 6, "fp32", resize_first=False)
    features = torch.cat([plain.batch(range(6)).features.cls_post, pools[0].features.cls_post])
    assert (torch.cdist(features, features) < 1e-3).sum() <= 18 + 2 * 2  # a view may, rarely, be the picture itself


def test_each_epoch_draws_one_view_of_each_picture(workplace, clip):
    data = SourceData(load_manifest("source"), clip, workplace, 3, lambda sample, *rest: sample)
    torch.manual_seed(0)
    epochs = [data.shuffled().tolist() for _ in range(4)]
    assert all(sorted(entry // 3 for entry in epoch) == list(range(6)) for epoch in epochs)
    assert {entry % 3 for epoch in epochs for entry in epoch} == {0, 1, 2}


def test_references_are_normal_training_pictures_of_the_category(workplace):
    """A batch brings one for each picture, drawn from the pool; without a pool nothing is drawn or encoded."""
    clip = load_clip(Path("data/weights/default"), 48, "quickgelu", "bilinear", torch.device("cpu"))
    manifest, spec = load_manifest("source"), FeatureSpec(vv_start=1, vv_layers=(2, 4))
    other = [replace(row, category="other") for row in manifest.rows[:2]]
    pool = [replace(manifest.rows[i], split="train", label=0, pixel_hash=f"n{i}", category="other") for i in (2, 4)]
    mixed = replace(manifest, rows=(*other, *pool, manifest.rows[5], manifest.rows[-1]))
    data = SourceData(mixed, clip, workplace / "features", references=draw_references(mixed, 1))
    data.encode(spec, 4, "fp32", resize_first=False)
    wanted = clip.image.encode(torch.from_numpy(preprocess(workplace / "pictures/train.png", 48))[None], spec)
    batch = data.batch([2, 0, 1])
    torch.testing.assert_close(batch.references.stream(4)[:1], wanted.stream(4), rtol=0, atol=1e-5)
    assert torch.equal(batch.references.stream(2)[1], batch.references.stream(2)[2])  # a pool of one
    assert not torch.equal(batch.references.stream(2)[0], batch.references.stream(2)[1])
    assert [row.category for row in data.rows] == ["other", "other", "part"]
    both = SourceData(mixed, clip, workplace / "both", references=draw_references(mixed, 2))
    both.encode(spec, 4, "fp32", resize_first=False)
    torch.manual_seed(0)
    assert len({float(both.batch([0]).references.stream(4)[0, 1, 0]) for _ in range(20)}) == 2
    plain = SourceData(mixed, clip, workplace / "plain")
    plain.encode(spec, 4, "fp32", resize_first=False)
    state = torch.get_rng_state()
    assert plain.batch([0]).references is None
    assert torch.equal(torch.get_rng_state(), state)


def test_a_source_category_without_normal_training_pictures_is_refused(workplace):
    manifest = load_manifest("source")
    bare = replace(manifest, rows=manifest.rows[:-1])
    with pytest.raises(UserError, match=r"pictures: part: the learner compares with normal training pictures"):
        draw_references(bare, 1)
