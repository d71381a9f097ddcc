"""Ray: whether it is there, and the cluster at RAY_ADDRESS, or one that this process starts on this machine."""

import logging
import os
from importlib.util import find_spec

from zsad.common.errors import UserError

STORE = 1 << 30  # bytes of shared memory, of a cluster of our own
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray warns of: its coming default
}


def check_installed() -> None:
    """UserError where Ray is not."""
    if find_spec("ray") is None:
        raise UserError('--engine ray: Ray is not installed: pip install "zsad[ray]"')


def start_ray(cpus: int) -> bool:
    """Join a cluster, or start one of so many cores; whether this call did. UserError where Ray is not installed."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    check_installed()
    import ray

    if ray.is_initialized():
        return False
    own = {"address": "local", "num_cpus": cpus, "object_store_memory": STORE, "include_dashboard": False}
    told = {} if os.environ.get("RAY_ADDRESS") else own
    ray.init(logging_level=logging.ERROR, log_to_driver=False, **told)
    return True


def resources() -> tuple[int, int]:
    """(cores, GPUs) of the cluster."""
    import ray

    total = ray.cluster_resources()
    return int(total.get("CPU", 0)), int(total.get("GPU", 0))
