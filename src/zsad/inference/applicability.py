"""On which datasets predictions of a configuration mean something. Loads no torch."""

from zsad.datasets.manifest import Manifest
from zsad.training.record import Record


def why_not_applicable(record: Record, manifest: Manifest) -> str | None:
    """Why predictions have no meaning on a dataset, or None: it was trained on, or has too few pictures to adapt to."""
    trained_on_it = f"{record.learner} is trained on {manifest.dataset}"
    return record.unused or (trained_on_it if record.training_set == manifest.dataset else None)
