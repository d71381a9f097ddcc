"""Fixtures of the pretraining's tests."""

from typing import Any

import pytest
from torch.utils.data import DataLoader, IterableDataset

from zsad_synthetic.pretraining import pretrain, text_stage


@pytest.fixture
def drawn_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are drawn here and not by a worker, which takes seconds to start; they are the same."""

    def loader(pictures: IterableDataset, size: None, **options: Any) -> DataLoader:
        for of_a_worker in ("num_workers", "prefetch_factor", "multiprocessing_context"):
            del options[of_a_worker]
        return DataLoader(pictures, size, **options)

    for module in (pretrain, text_stage):
        monkeypatch.setattr(module, "DataLoader", loader)
