"""Draws of a step are the same values, however they are asked for."""

import pytest
import torch

from zsad.pipeline.bench.against.draws import Draws


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("randn", "randn_like", "randint"):
        monkeypatch.setattr(torch, name, getattr(torch, name))


def test_one_stream_a_step() -> None:
    draws = Draws()
    draws.begin(3)
    whole, picked = torch.randn((1, 2, 4), generator=None), torch.randint(9, (5,))
    draws.begin(3)
    parts = [torch.randn_like(torch.zeros(4)), torch.randn(1, 4)[0]]
    assert torch.equal(whole[0], torch.stack(parts))
    assert torch.equal(picked, torch.randint(0, 9, (5, 1))[:, 0])
    draws.begin(4)
    assert not torch.equal(whole, torch.randn(1, 2, 4))
    assert whole.dtype == torch.float32
