"""Every learner at the papers' size: ViT-L/14@336 at 518 px, random weights, CPU, fp32.

`make slow` names this file; its name keeps it out of `pytest` and `make test`. A picture takes seconds to encode; the
weights take 1.7 GB of disk while this runs. Numbers do not mean anything here: what is checked is that training and
prediction go through, and that a checkpoint holds what the official ones hold.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

from tests.conftest import write_backbone
from tests.helpers.workplace import CHECKPOINT, learn, params, picture, workplace
from zsad.common.io import read_tensors
from zsad.inference.model import load_checkpoint
from zsad.learners.base import Learner
from zsad.learners.lookup import methods

torch.set_num_threads(os.cpu_count() or 1)  # matrices are large here: threads pay


@dataclass(frozen=True)
class Facts:
    """Of a learner at ViT-L: scalars that are trained, scalars and tensors of its checkpoint, some of their shapes."""

    trained: int
    stored: int
    tensors: int
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


FACTS = {
    "clip_zero": Facts(0, 0, 0),
    "winclip": Facts(0, 0, 0),
    "anomalyclip": Facts(
        43_008,
        43_008,
        10,
        {"ctx_pos": (1, 1, 12, 768), "ctx_neg": (1, 1, 12, 768), "compound_prompts_text.7": (4, 768)},
    ),
    "april_gan": Facts(3_148_800, 3_148_800, 8, {"fc.0.weight": (768, 1024), "fc.3.bias": (768,)}),
    "cops": Facts(  # stored: the official 28 tensors, and z
        6_554_880,
        4_783_104 + 10 * 768,
        28 + 1,
        {"ctx_pos": (1, 1, 14, 768), "t_n": (6, 768), "extractor.attn.in_proj_weight": (2304, 768), "z": (10, 768)},
    ),
    "faprompt": Facts(
        4_100_064,
        4_100_064,
        14,
        {"ctx_pos": (1, 1, 5, 768), "ctx_neg": (1, 10, 2, 768), "patch_meta_net.linear1.weight": (480, 7680)},
    ),
    "bayes_pfl": Facts(  # stored: the noise of context, normal and abnormal state beside what is trained
        23_497_505,
        23_497_505 + 3 * 10 * 768,
        60,
        {
            "prompt_context": (3, 5, 768),
            "PFL_context.amor_u.weight": (7680, 768),
            "RCA.linear_proj.3.weight": (768, 1024),
        },
    ),
    "aa_clip": Facts(  # the text tower's 3 adapters and projection; of the image tower 6, and 5 projections
        12_582_912,
        12_582_912,
        15,
        {"text_adapter.3.fc.0.weight": (768, 768), "image_adapter.seg_proj.3.fc.weight": (768, 1024)},
    ),
    "ada_clip": Facts(  # stored: the seed of K-means beside what is trained
        10_661_632,
        10_661_633,
        38,
        {"visual_prompter.static_prompts.0": (5, 1024), "patch_token_layer.head.3.weight": (768, 1024), "seed": ()},
    ),
    "adapt_clip": Facts(  # stored: running statistics of ten batch norms beside what is trained
        1_763_266,
        1_770_956,
        67,
        {
            "textual_learner.ctx_pos": (1, 1, 12, 768),
            "visual_learner.local_adater.fc.0.weight": (192, 768),
            "pq_learner.local_adapter.0.0.weight": (128, 768, 3, 3),
            "pq_learner.global_adapter.0.6.weight": (2, 64),
        },
    ),
    "patch_memory": Facts(0, 1369 * 1024, 1, {"part/memory": (1, 1369, 1024)}),  # one shot, as the three below
    "winclip_plus": Facts(  # remembered patch tokens and windows
        0,
        1369 * 1024 + (36**2 + 35**2) * 768,
        3,
        {"part/memory_tokens": (1369, 1024), "part/memory_window_3": (1225, 768)},
    ),
    "promptad": Facts(  # stored: two galleries and the text prototypes of both sets; the contexts are not
        (12 + 4 + 4 + 4) * 768,
        2 * 1369 * 1024 + 4 * 768,
        4,
        {"part/gallery_16": (1369, 1024), "part/text_map": (2, 768)},
    ),
    "apt": Facts(2 * 16 * 768, (2 * 16 + 3 * 2) * 768, 5, {"part/ctx_normal": (1, 16, 768), "part/meta": (2, 768)}),
}


@pytest.fixture(scope="module")
def backbone() -> Iterator[Path]:
    """ViT-L-14-336 with seeded random weights, as OpenAI's would be prepared."""
    with TemporaryDirectory() as directory:
        config = open_clip.get_model_config("ViT-L-14-336")
        yield write_backbone(Path(directory) / "clip", config, seed=0, family="openai", activation="quickgelu")


def trained_scalars(learner: Learner) -> int:
    return sum(parameter.numel() for parameter in learner.parameters())


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("method", methods())
def test_one_training_step_and_one_prediction(method: str, backbone: Path, tmp_path: Path) -> None:
    facts = FACTS[method]  # a new method: add what its official checkpoint holds
    events: list[tuple[str, dict[str, Any]]] = []
    with workplace(tmp_path, backbone, pictures=2):
        learn(params(method, 518, "cpu", 1), lambda event, **fields: events.append((event, fields)))
        tensors, _ = read_tensors(CHECKPOINT)
        predictor = load_checkpoint(CHECKPOINT, "cpu")
        result = predictor.predict(picture(9), prompt_name="part")
    losses = [loss for event, fields in events if event == "epoch" for loss in fields["losses"].values()]
    assert np.isfinite(losses).all()
    (learner,) = predictor.learners.values()
    assert bool(losses) is learner.trained
    assert trained_scalars(learner) == facts.trained
    assert (sum(tensor.numel() for tensor in tensors.values()), len(tensors)) == (facts.stored, facts.tensors)
    assert {name: tuple(tensors[name].shape) for name in facts.shapes} == facts.shapes
    assert 0 <= result.score <= 1
    assert result.map.shape == (160, 160)
    assert ((result.map >= 0) & (result.map <= 1)).all()
    assert result.map.std() > 0
