"""The store of frozen features: what it takes of the disk, and whether it has the room that params.yaml gives it."""

import shutil
from pathlib import Path

from zsad.config.params import Params
from zsad.pipeline.doctor.finding import Finding
from zsad.training.feature_store import FEATURES, GIB, stored_bytes


def check_features(params: Params) -> Finding:
    """How full the store is."""
    taken, wanted = stored_bytes() / GIB, params.feature_store
    free = shutil.disk_usage(Path.cwd()).free / GIB
    state = f"{taken:.2f} of {wanted:g} GiB in {FEATURES}"
    if taken > wanted:
        return Finding("frozen features", "optional", state, "zsad leftovers --features --remove")
    if taken + free < wanted:
        state = f"{state}, and the disk has {free:.1f} GiB left"
        return Finding("frozen features", "optional", state, "free some, or give `feature_store` less")
    return Finding("frozen features", "ok", state)
