"""Means and spreads of metric values that may be undefined: what is None is left out, never counted as a number."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

Values = Mapping[str, float | None]


def mean_of(items: Sequence[Values], names: Iterable[str]) -> dict[str, float | None]:
    """Unweighted mean of each metric over the items that define it; None where none does."""
    return {name: _mean(_defined(items, name)) for name in names}


def sd_of(items: Sequence[Values], names: Iterable[str]) -> dict[str, float | None]:
    """Sample standard deviation of each metric; None for fewer than two values."""
    return {name: _sd(_defined(items, name)) for name in names}


def undefined_in(items: Sequence[Values], names: Iterable[str]) -> dict[str, int]:
    """How many items lack each metric; metrics that all have are left out."""
    counts = {name: len(items) - len(_defined(items, name)) for name in names}
    return {name: count for name, count in counts.items() if count}


def _defined(items: Sequence[Values], name: str) -> list[float]:
    return [value for item in items if (value := item.get(name)) is not None]


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _sd(values: list[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
