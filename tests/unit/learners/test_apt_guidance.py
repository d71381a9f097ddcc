"""How APT's learned prompts and its meta-prompt correct each other: the formulas alone."""

import pytest
import torch
import torch.nn.functional as F

from zsad.learners.apt.guidance import average_precision, calibrate, candidate
from zsad.learners.apt.views import meta_loss


def test_projection():
    """With λ = 1 nothing is left that opposes g_m; where nothing opposed it, the gradient stays as it was."""
    torch.manual_seed(0)
    met = []
    for _ in range(50):
        g_s, g_m = torch.randn(2, 3, 16)
        g, conflict = calibrate(g_s, g_m, 1.0)
        met.append(conflict)
        assert (g * g_m).sum() >= -1e-6 * g.norm() * g_m.norm()
        assert conflict or torch.equal(g, g_s)
        half, _ = calibrate(g_s, g_m, 0.5)
        torch.testing.assert_close(half, (g + g_s) / 2)
    assert 5 < sum(met) < 45


def test_meta_loss_is_the_divergence_of_the_two_softmaxes():
    torch.manual_seed(0)
    z, teacher = torch.randn(2, 5, 10)
    both, wanted = [torch.stack([-x / 2, x / 2]).log_softmax(0) for x in (teacher, z)], 0.0
    for group in (slice(0, 2), slice(2, 5)):
        p, q = (logs[:, group] for logs in both)
        wanted += (p.exp() * (p - q)).sum(0).mean().item() / 2
    assert meta_loss(z, teacher, 2).item() == pytest.approx(wanted, rel=1e-5)


def test_the_meta_prompt_moves_and_stays_close():
    torch.manual_seed(0)
    anchor, learned = F.normalize(torch.randn(2, 2, 32), dim=-1)
    meta = anchor
    assert candidate(meta, learned, anchor, 0.0, 0.8) is meta
    for _ in range(40):
        meta = candidate(meta, learned, anchor, 0.1, 0.8)
        assert ((meta * anchor).sum(-1) >= 0.8 - 1e-6).all()
        assert meta.norm(dim=-1).tolist() == pytest.approx([1, 1])
    assert (meta * anchor).sum(-1).tolist() == pytest.approx([0.8, 0.8], abs=1e-5)
    across = F.normalize(learned[0] - (learned[0] @ anchor[0]) * anchor[0], dim=0)
    torch.testing.assert_close(meta[0], 0.8 * anchor[0] + 0.6 * across, rtol=0, atol=0.05)  # towards the learned one
    free = candidate(anchor, learned, anchor, 0.1, -1.0)
    torch.testing.assert_close(free, F.normalize(0.9 * anchor + 0.1 * learned, dim=-1))


def test_average_precision_counts_ties_once():
    from sklearn.metrics import average_precision_score

    torch.manual_seed(0)
    scores, positive = torch.randint(0, 7, (200,)).float(), torch.rand(200) < 0.3
    assert average_precision(scores, positive) == pytest.approx(average_precision_score(positive, scores), abs=1e-12)
