"""Every method is a graph for any batch size, or says why not; operators that runtimes lack are replaced exactly."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.helpers import ROOT
from zsad.clip.backbone import Clip, encode_images
from zsad.clip.inputs import normalised
from zsad.common.errors import UserError
from zsad.inference.export.graph import Graph, check_exportable, reads_name, trace
from zsad.inference.export.operators import convolve, pool, sort_stably
from zsad.learners.lookup import learner_class, methods

REFUSED = {"ada_clip": "K-means"}
FEW = {"states": {"normal": ["{}"], "anomalous": ["damaged {}"]}}
SMALLER = {"ada_clip": {"depth": 2}, "clip_zero": FEW, "winclip": FEW, "winclip_plus": FEW}
READ_NAMES = {"aa_clip", "april_gan", "bayes_pfl", "clip_zero", "winclip", "winclip_plus"}


@pytest.mark.parametrize("method", methods())
def test_every_method_scores_as_a_graph_must_or_says_why_not(
    small: Clip, build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """One name for the batch, no loop over it. The graphs themselves: tests/slow/export.py."""
    learner = build(method, clip=small, shots=int(learner_class(method).few_shot), **SMALLER.get(method, {})).eval()
    if method in REFUSED:
        with pytest.raises(UserError, match=f"{method} cannot be exported: .*{REFUSED[method]}"):
            check_exportable(learner, method)
        return
    check_exportable(learner, method)
    pixels = np.random.RandomState(0).randint(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    inputs = normalised(pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))
    wanted = learner.score(encode_images(small, inputs, learner.spec, "fp32"), ["metal nut"] * 5)
    assert reads_name(learner, "metal nut") == (method in READ_NAMES)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    score, map_logits = Graph(learner, "metal nut")(torch.from_numpy(pixels))
    torch.testing.assert_close(score, wanted.score, atol=1e-6, rtol=0)
    torch.testing.assert_close(map_logits, wanted.map_logits, atol=1e-4, rtol=0)


def test_the_page_tells_of_every_method(build: Callable[..., Any]) -> None:
    page = Path(ROOT / "docs/export.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (yes|no)", page, flags=re.MULTILINE))
    assert rows == {method: "no" if method in REFUSED else "yes" for method in methods()}


@pytest.mark.parametrize(
    ("method", "settings", "shots", "reason"),
    [
        ("ada_clip", {"clusters": 0, "depth": 2}, 0, "prompts of each picture"),
        ("patch_memory", {"image_score": "reweighted"}, 1, "reweighted"),
        ("adapt_clip", {}, 1, "few-shot form"),
    ],
)
def test_settings_that_cannot_be_a_graph_are_refused(
    small: Clip, build: Callable[..., Any], method: str, settings: dict[str, Any], shots: int, reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        check_exportable(build(method, clip=small, shots=shots, **settings), method)


def test_fixed_prompts_leave_the_text_tower_out(smallest: Clip, build: Callable[..., Any]) -> None:
    learner = build("anomalyclip", clip=smallest)
    program = trace(learner, "object")
    inside = {tensor.data_ptr() for tensor in program.constants.values() if isinstance(tensor, torch.Tensor)}
    text = {weight.data_ptr() for block in smallest.text.blocks for weight in block.mlp.parameters()}
    assert {weight.data_ptr() for weight in smallest.image.blocks[0].mlp.parameters()} <= inside
    assert not text & inside


def test_a_score_that_loops_over_its_batch_is_no_graph(smallest: Clip, build: Callable[..., Any]) -> None:
    learner = build("anomalyclip", clip=smallest)
    score = learner.score
    learner.score = lambda features, names: score(features.select(range(len(features.cls))), names)
    with pytest.raises(UserError, match="AnomalyClip: `score` is no graph for a batch of any size"):
        trace(learner, "object")


def test_replaced_operators_compute_the_same() -> None:
    maps = torch.from_numpy(np.random.RandomState(0).standard_normal((2, 1, 9, 8)))
    kernel = torch.from_numpy(np.random.RandomState(1).standard_normal((1, 1, 3, 2)))
    torch.testing.assert_close(convolve(maps, kernel), F.conv2d(maps, kernel), atol=1e-14, rtol=0)
    pooled = F.avg_pool2d(maps, (3, 2), stride=1)
    torch.testing.assert_close(pool(maps, (3, 2), (1, 1)), pooled, atol=1e-14, rtol=0)
    summed = F.avg_pool2d(maps, 2, stride=1, divisor_override=1)
    torch.testing.assert_close(pool(maps, (2, 2), (1, 1), divisor_override=1), summed, atol=1e-14, rtol=0)
    assert convolve(maps.float(), kernel.float()) is NotImplemented
    assert pool(maps.float(), (2, 2), (1, 1)) is NotImplemented
    found, wanted = sort_stably(maps, stable=True, dim=3, descending=True), maps.sort(dim=3, descending=True)
    assert torch.equal(found[0], wanted[0])
    assert torch.equal(found[1], wanted[1])
    assert sort_stably(maps, stable=True) is NotImplemented
