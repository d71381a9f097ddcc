"""Fixtures of the pretraining's tests."""

from collections.abc import Callable
from typing import Any

import pytest
from torch.utils.data import DataLoader, IterableDataset

from zsad_synthetic.pretraining import pretrain, text_stage


@pytest.fixture
def drawn_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are drawn here and not by a worker, which takes seconds to start; they are the same."""

    def loader(pictures: IterableDataset, size: None, collate_fn: Callable[..., Any] | None = None, **_: Any) -> Any:
        return DataLoader(pictures, size, collate_fn=collate_fn)

    for module in (pretrain, text_stage):
        monkeypatch.setattr(module, "DataLoader", loader)
