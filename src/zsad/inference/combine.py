"""The stage `combine`: of which stored predictions an ensemble is the mean, a small file a dataset.

DVC cannot look up the members of an ensemble, so scoring depends on data/ensembles/<key>/<dataset>.json: other
predictions of a member score the ensemble again, and those of other configurations do not.
"""

from zsad.common.errors import UserError
from zsad.common.io import atomic_directory
from zsad.config.ensemble import Ensemble
from zsad.config.params import Params
from zsad.inference.ensemble import ENSEMBLES, write_ensemble


def combine(params: Params, key: str) -> None:
    """Write data/ensembles/<key>, a file for each dataset."""
    ensemble = params.row(key)
    if not isinstance(ensemble, Ensemble):
        raise UserError(f"params.yaml: ensembles.{key}: does not exist; {key} is a configuration, no mean of several")
    with atomic_directory(ENSEMBLES / key) as directory:
        for dataset in params.datasets:
            write_ensemble(ensemble, dataset, directory)
