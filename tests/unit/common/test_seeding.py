"""What every computing process is set to."""

import torch

from zsad.common.seeding import seed_everything


def test_numbers_too_small_for_a_normal_float_are_zero() -> None:
    """Gradients reach them, and a product with them takes a hundred times as long."""
    torch.set_flush_denormal(False)
    tiny = torch.full((4,), 1e-30)
    assert (tiny * 1e-10).all()
    seed_everything(0)
    assert not (tiny * 1e-10).any()
