"""Losses against numbers worked out by hand and against their pixel forms."""

import math

import pytest
import torch

from zsad.learners.cops import patch_segmentation_loss
from zsad.learners.shared.losses import dice_loss, focal_loss, segmentation_loss
from zsad.learners.shared.similarity import two_way_logit

P = torch.tensor([[[0.9, 0.2], [0.4, 0.5]]])
MASK = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])


def test_focal_loss_by_hand():
    e = 1e-5
    total = 0.0
    for p_true in (0.9, 0.8, 0.4, 0.5):
        p_t = (1 - e) * p_true + e * (1 - p_true) + e
        total -= (1 - p_t) ** 2 * math.log(p_t)
    assert focal_loss(P, MASK).item() == pytest.approx(total / 4, rel=1e-6)


def test_dice_loss_by_hand():
    assert dice_loss(P, MASK).item() == pytest.approx(1 - (2 * 1.3 + 1) / (2.0 + 2 + 1), rel=1e-6)
    empty = torch.zeros(1, 2, 2)
    assert dice_loss(empty, empty).item() == 0
    both = dice_loss(torch.cat([P, empty]), torch.cat([MASK, empty]))  # mean over images, not over pixels
    assert both.item() == pytest.approx(dice_loss(P, MASK).item() / 2, rel=1e-6)


def test_segmentation_loss_by_hand():
    normal = 1 - (2 * 1.3 + 1) / (2.0 + 2 + 1)  # probabilities 0.8, 0.5 lie on the normal pixels; sums are 2 and 2
    wanted = focal_loss(P, MASK).item() + (1 - 3.6 / 5) + normal
    assert segmentation_loss(P, MASK).item() == pytest.approx(wanted, rel=1e-6)


def test_two_way_logit_is_the_softmax():
    torch.manual_seed(0)
    features, text = torch.randn(3, 5, 8), torch.nn.functional.normalize(torch.randn(3, 2, 8), dim=-1)
    unit = torch.nn.functional.normalize(features, dim=-1)
    wanted = (torch.einsum("bnd,bcd->bnc", unit, text) / 0.07).softmax(-1)[..., 1]
    torch.testing.assert_close(two_way_logit(features, text[:, 0], text[:, 1], 0.07).sigmoid(), wanted)
    shared = two_way_logit(features, text[:1, 0], text[:1, 1], 0.07)  # one text pair for all images
    torch.testing.assert_close(shared[0], two_way_logit(features[:1], text[:1, 0], text[:1, 1], 0.07)[0])
    pooled = two_way_logit(features[:, 0], text[:, 0], text[:, 1], 0.07)
    torch.testing.assert_close(pooled.sigmoid(), wanted[:, 0])


def test_patch_form_of_the_cops_loss_equals_its_pixel_form():
    """Nearest upsampling by the patch size, then the pixel loss: same value and same gradient."""
    torch.manual_seed(0)
    patch, grid = 6, 5
    p = torch.rand(3, grid * grid, dtype=torch.float64).requires_grad_()
    mask = (torch.rand(3, grid * patch, grid * patch) > 0.7).double()
    mask[2] = 0
    pixels = torch.nn.functional.avg_pool2d(mask[:, None], patch).flatten(1) * patch**2
    upsampled = p.view(3, grid, grid).repeat_interleave(patch, 1).repeat_interleave(patch, 2)
    losses = [patch_segmentation_loss(p, pixels, patch**2), segmentation_loss(upsampled, mask)]
    gradients = [torch.autograd.grad(loss, p, retain_graph=True)[0] for loss in losses]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-9)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-6, atol=1e-12)
