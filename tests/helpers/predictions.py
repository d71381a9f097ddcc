"""What stored predictions say of themselves, for tests: configuration `cops` on the dataset `toy`."""

from typing import Any

from zsad.inference.stored import PredictionInfo


def prediction_info(**own: Any) -> PredictionInfo:
    """PredictionInfo with these fields; grid, seeds, n_images, upsample and sigma are the test's own."""
    names = {"learner": "cops", "method": "cops", "protocol": "strict", "source": "aux", "shots": 0}
    data = {"dataset": "toy", "domain": "toys", "config_hash": "c", "dataset_hash": "h"}
    return PredictionInfo(**{**names, **data, **own})
