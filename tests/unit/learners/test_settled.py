"""A settled learner: the same bits, and the text tower run for what belongs to a picture alone."""

import pytest
import torch

from zsad.clip.text import TextTower
from zsad.learners.lookup import learner_class, methods

OF_PICTURES = {"bayes_pfl": 2, "cops": 2, "faprompt": 1}  # passes through the text tower, a batch
NAMES = ["bottle", "metal nut", "bottle"]


@pytest.fixture
def passes(monkeypatch):
    """Lengths of the prompts of every pass through the text tower."""
    seen, right = [], TextTower._run

    def counted(self, embeddings, *others):
        seen.append(embeddings.shape[1])
        return right(self, embeddings, *others)

    monkeypatch.setattr(TextTower, "_run", counted)
    return seen


@pytest.mark.parametrize("method", methods())
def test_what_reads_no_picture_is_computed_once(clip, build, pictures, passes, method):
    learner = build(method, shots=int(learner_class(method).few_shot)).eval()
    learner.draw(torch.Generator().manual_seed(0))
    features = clip.image.encode(pictures[:3], learner.spec)
    plain = learner.score(features, NAMES)
    first = learner.settle().score(features, NAMES)
    passes.clear()
    again = learner.score(features, NAMES)
    assert len(passes) == OF_PICTURES.get(method, 0)
    for settled in (first, again):
        assert torch.equal(settled.score, plain.score)
        assert torch.equal(settled.map_logits, plain.map_logits)


@pytest.mark.parametrize("method", ["aa_clip", "adapt_clip", "anomalyclip", "bayes_pfl", "cops", "faprompt"])
def test_a_learner_that_learns_again_forgets(clip, build, pictures, method):
    learner = build(method).settle()
    features = clip.image.encode(pictures[:3], learner.spec)
    before = learner.score(features, NAMES)
    learner.train()
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.1)
    assert not torch.equal(learner.eval().score(features, NAMES).score, before.score)
    assert learner.known is None


def test_names_without_end_do_not_fill_memory(build, monkeypatch):
    monkeypatch.setattr("zsad.learners.shared.fixed.MOST_KNOWN", 3)
    learner = build("bayes_pfl").settle()
    for number in range(8):
        assert learner.words((f"part {number}",)).names.shape[0] == 1
        assert len(learner.known) <= 3
