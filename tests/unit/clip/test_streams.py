"""What streams are called and how large they are, without running the tower; one file name, one set of bits."""

from typing import Any

import pytest
import torch

from zsad.clip.backbone import FeatureSpec, encode_images, encode_images_for
from zsad.clip.locality import Locality
from zsad.clip.streams import TowerSizes, streams
from zsad.learners.lookup import methods

OTHERS = [
    FeatureSpec(cls=True, cls_post=True, vv_start=2),
    FeatureSpec(cls=True, cls_post=True, vv_start=0),
    FeatureSpec(cls=True, layers=(4, 2), entry=0, halfway=(2,)),
    FeatureSpec(vv_start=2, vv_layers=(1, 4)),
    FeatureSpec(cls_post=True, local=Locality(4, None), windows=(3, 2)),
    FeatureSpec(cls_post=True, local=Locality(2, 1, keep_cls=True)),
]


@pytest.fixture(scope="module")
def specs(build: Any) -> list[FeatureSpec]:
    learners = [build(method) for method in methods()]
    return [*OTHERS, *(learner.spec for learner in learners), *(learner.training_spec for learner in learners)]


def test_they_are_what_the_tower_gives(clip: Any, pictures: torch.Tensor, specs: list[FeatureSpec]) -> None:
    """Names and shapes, of every method; and files of one name hold the same bits, whatever else a spec names."""
    first: dict[str, torch.Tensor] = {}
    shared = 0
    for spec in dict.fromkeys(specs):
        given, told = clip.image.encode(pictures[:3], spec).tensors, streams(spec, TowerSizes.of(clip))
        assert {name: tuple(value.shape[1:]) for name, value in given.items()} == {one.name: one.shape for one in told}
        for one in told:
            shared += one.file in first
            assert torch.equal(first.setdefault(one.file, given[one.name]), given[one.name]), (spec, one)
    assert shared > 20


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_one_pass_gives_each_the_bits_of_its_own(
    clip: Any, pictures: torch.Tensor, specs: list[FeatureSpec], precision: str
) -> None:
    """Of every method, and of specs that stop before the last block or read its class token alone."""
    asked = [spec for spec in dict.fromkeys([*specs, FeatureSpec(layers=(1,))]) if not spec.bgr]
    assert {spec.vv_start for spec in asked} > {None, 0, 2}
    images = pictures[:3].numpy()
    for spec, together in zip(asked, encode_images_for(clip, images, asked, precision), strict=True):
        alone = encode_images(clip, images, spec, precision).tensors
        assert together.tensors.keys() == alone.keys()
        assert all(torch.equal(together.tensors[name], alone[name]) for name in alone), spec


def test_streams_that_may_differ_in_a_bit_have_another_name(clip: Any) -> None:
    sizes = TowerSizes.of(clip)
    files = [[one.file for one in streams(spec, sizes)] for spec in OTHERS]
    assert files[0] == ["cls_alone", "cls_post_alone", "patches_vv2"]
    assert files[1] == ["cls_alone", "cls_post_alone", "patches_vv0"]
    assert files[2] == ["cls", "layer_4", "layer_2", "halfway_2", "entry_0"]
    assert files[3] == ["stream_1_vv2", "stream_4_vv2"]
    assert files[4] == ["cls_post", "window_3", "window_2", "local_4_None"]
    assert files[5] == ["cls_post_alone", "local_2_1_cls"]
