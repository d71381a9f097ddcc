"""Counting without doing: as many operations as with values, for every method; memory and traffic by hand."""

import pytest
import torch

from zsad.clip.backbone import Clip, encode_images, untrained_clip
from zsad.clip.weights import EMBEDDED, model_config
from zsad.common.timing import Work
from zsad.config.configuration import Configuration
from zsad.config.schema import BackboneParams
from zsad.learners.base import Learner, Phase
from zsad.learners.lookup import build_config, learner_class, make_learner, methods
from zsad.pipeline.bench import works
from zsad.pipeline.bench.counting import operations
from zsad.pipeline.cost.subject import Subject
from zsad.pipeline.cost.tracing import META, traced

SIDE, BATCH = 32, 2
BACKBONE = BackboneParams(name=EMBEDDED, pretrained=EMBEDDED, image_size=SIDE)


@pytest.fixture(scope="module")
def clip() -> Clip:
    config = model_config(BACKBONE)
    return untrained_clip(config, EMBEDDED, SIDE, "quickgelu", "bilinear", torch.device("cpu"))


def one_step(learner: Learner, phase: Phase, size: int) -> Work:
    """Losses and gradients of a phase on random pictures."""
    learner.requires_grad_(False)
    for parameter in (one for group in phase.groups for one in group["params"]):
        parameter.requires_grad_(True)
    images = works.pictures(learner.clip, size)
    features = encode_images(learner.clip, images, learner.training_spec, "fp32")
    batch = works._batch(learner.clip, features)
    learner.train()
    return lambda: torch.stack(list(phase.loss(batch).values())).sum().backward()


@pytest.mark.parametrize("method", methods())
def test_as_many_operations_as_with_values(clip: Clip, method: str) -> None:
    kind = learner_class(method)
    shots, settings = int(kind.few_shot), {"train_batch_size": BATCH} if kind.trained and not kind.few_shot else {}
    counted = Subject(
        Configuration(method, method, "strict", "default", BACKBONE, settings, shots=shots), settings, BATCH
    )
    learner = make_learner(method, build_config(method, settings, "learners.x"), clip, "strict", shots)
    learner.draw(torch.Generator().manual_seed(0))
    real = works.Subject(method, learner, "fp32")
    predict = real.prediction(BATCH)
    predict()  # what is kept of a name is made now
    assert counted.encoding.flop + counted.scoring[1].flop == operations(predict) > 0
    for phase, (epochs, size, step) in zip(learner.phases(), counted.steps, strict=True) if settings else ():
        assert (epochs, size) == (phase.epochs, phase.batch_size or BATCH)
        done = operations(one_step(learner, phase, size))
        within = 0.03 if method == "ada_clip" else 0.01  # where prompts are masked, gradients are counted otherwise
        assert step.flop == pytest.approx(done, rel=within)
    assert counted.model == sum(tensor.nbytes for tensor in learner.checkpoint().values())


def test_memory_is_what_lives_at_once() -> None:
    def chain() -> None:
        x = torch.zeros(1000, device=META)
        for _ in range(5):
            x = x + 1  # the old one lives until the new one is there

    found = traced(chain)
    assert (found.peak, found.calls, found.moved) == (2 * 4000, 6, 4000 + 5 * 8000)


def test_views_cost_nothing_and_attention_writes_no_weights() -> None:
    x = torch.zeros(1, 2, 64, 8, device=META)
    assert traced(lambda: x.transpose(2, 3).flatten(0, 1)[:1]).calls == 0
    found = traced(lambda: torch.nn.functional.scaled_dot_product_attention(x, x, x))
    assert found.flop == 2 * 2 * 2 * 64 * 64 * 8
    assert found.peak < 2 * 64 * 64 * 4
