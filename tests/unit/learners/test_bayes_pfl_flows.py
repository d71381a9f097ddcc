"""Distributions of Bayes-PFL: planar flows, base Gaussian, KL term."""

import pytest
import torch

from zsad.learners.bayes_pfl.flows import BaseEncoder, Draw, Planar, divergence, push


def test_log_determinant_is_that_of_the_jacobian():
    """Three flows in four dimensions, two distributions with two samples each, against automatic differentiation."""
    torch.manual_seed(1)
    u, w, b = (0.5 * torch.randn(2, 3, *size, dtype=torch.float64) for size in ((4,), (4,), ()))
    z = torch.randn(2, 2, 4, dtype=torch.float64)
    transformed, log_det = Planar(u, w, b).transform(z)
    for n in range(2):
        flows = Planar(u[n : n + 1], w[n : n + 1], b[n : n + 1])
        for r in range(2):
            jacobian = torch.func.jacrev(lambda x, flows=flows: flows.transform(x[None, None])[0][0, 0])(z[n, r])
            assert log_det[n, r].item() == pytest.approx(torch.linalg.slogdet(jacobian)[1].item(), abs=1e-3)
            torch.testing.assert_close(transformed[n, r], flows.transform(z[n : n + 1, r : r + 1])[0][0, 0])


def test_one_flow_by_hand():
    """z = (1, 0), u = (2, 1), w = (1, −1), b = 0: tanh(1); wᵀu = 1. With w = −3u/5 the map folds: |1 − 3·…|."""
    z, u = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[2.0, 1.0]]])
    moved, log_det = Planar(u, torch.tensor([[[1.0, -1.0]]]), torch.zeros(1, 1)).transform(z)
    slope = torch.tanh(torch.tensor(1.0)).item()
    torch.testing.assert_close(moved, torch.tensor([[[1 + 2 * slope, slope]]]))
    assert log_det.item() == pytest.approx(torch.tensor(2 - slope**2 + 1e-5).log().item())
    _, folded = Planar(u, -0.6 * u, torch.full((1, 1), 1.2)).transform(z)  # tanh(0): slope 1, 1 − 0.6·5 = −2
    assert folded.item() == pytest.approx(torch.tensor(2.0).log().item(), abs=1e-4)


def test_flows_equal_their_recursion():
    """z_k = z_{k-1} + u_k tanh(w_kᵀz_{k-1} + b_k), one after the other, and so the log-determinants."""
    torch.manual_seed(3)
    u, w, z = (torch.randn(2, n, 6, dtype=torch.float64) for n in (5, 5, 3))
    b = torch.randn(2, 5, dtype=torch.float64)
    moved, log_det = Planar(u, w, b).transform(z)
    total = torch.zeros(2, 3, dtype=torch.float64)
    for k in range(5):
        slope = torch.tanh((w[:, k, None] * z).sum(-1) + b[:, k, None])
        total += (1 + (1 - slope**2) * (u[:, k] * w[:, k]).sum(-1)[:, None]).abs().add(1e-5).log()
        z = z + u[:, k, None] * slope[..., None]
    torch.testing.assert_close(moved, z)
    torch.testing.assert_close(log_det, total)


@pytest.mark.parametrize("strength", [0.3, 0.8])
def test_a_flow_with_positive_determinant_can_be_undone(strength):
    """wᵀu > −1: z is found again from z′, along u, by bisection on the one unknown wᵀz."""
    torch.manual_seed(2)
    w = torch.randn(1, 1, 6, dtype=torch.float64)
    u, b = -strength * w / (w**2).sum(), torch.randn(1, 1, dtype=torch.float64)
    z = torch.randn(1, 1, 6, dtype=torch.float64)
    moved, _ = Planar(u, w, b).transform(z)
    wanted, low, high = (w * moved).sum(), torch.tensor(-100.0).double(), torch.tensor(100.0).double()
    for _ in range(80):
        middle = (low + high) / 2
        too_high = middle + (w * u).sum() * torch.tanh(middle + b[0, 0]) > wanted
        low, high = (low, middle) if too_high else (middle, high)
    torch.testing.assert_close(moved - u * torch.tanh(low + b), z)


def test_standard_deviation_is_a_quarter_of_the_network():
    """The official code takes exp(½·network) for the variance."""
    encoder = BaseEncoder(4, 3)
    with torch.no_grad():
        for network, value in ((encoder.weight_mean, 0.3), (encoder.weight_log_variance, 2.0)):
            network.module[4].weight.zero_()
            network.module[4].bias.fill_(value)
    still = Planar(*(torch.zeros(1, 1, *size) for size in ((4,), (4,), ())))
    noise = torch.tensor([[[1.0, -1.0, 0.0, 2.0]]])
    drawn = push(encoder(torch.randn(1, 4)), still, noise)
    torch.testing.assert_close(drawn.z, 0.3 + torch.tensor(0.5).exp() * noise)
    wanted = sum(-0.5 * (1.0 + e**2) + 0.5 * (0.3 + 1.6487212707 * e) ** 2 for e in (1, -1, 0, 2))
    assert drawn.densities.item() == pytest.approx(wanted, rel=1e-6)
    assert drawn.log_det.item() == pytest.approx(1e-5, rel=0.01)


def test_kl_by_hand():
    """Base N(0, I) that the flows leave in place, Σ log|det| = 100, four images: −25 with the official division."""
    state = Draw(torch.randn(1, 1, 8), torch.zeros(1, 1), torch.full((1, 1), 100.0))
    assert divergence(state, 4).item() == -25
    assert divergence(state).item() == -100
    images = Draw(torch.randn(2, 1, 8), torch.tensor([[3.0], [5.0]]), torch.tensor([[1.0], [2.0]]))
    assert divergence(images).item() == 2.5
