"""The `predict` stage: checkpoints + the test split of a dataset → image scores and anomaly maps of every seed.

Only this stage needs the accelerator; `score` turns what it writes into metrics. Where predictions have no meaning,
that is recorded instead, and torch is not loaded.
"""

from zsad.common.errors import UserError
from zsad.common.progress import log
from zsad.config.configuration import Configuration
from zsad.config.params import Params
from zsad.datasets.class_names import under_other_names
from zsad.datasets.leaks import check_leaks
from zsad.datasets.manifest import Manifest, load_manifest
from zsad.inference.applicability import why_not_applicable
from zsad.inference.stored import PREDICTIONS, PredictionInfo, write_not_applicable
from zsad.training.record import Record, read_record


def predict(params: Params, key: str, dataset: str) -> None:
    """Score the test split of `dataset` with every seed of `key`; writes data/predictions/<key>/<dataset>.

    Under each of `class_names` once more, to a folder of its own there.
    """
    configuration = params.configuration(key)
    params.dataset(dataset)
    manifest = load_manifest(dataset)
    record = read_record(key, configuration.source_for(params, dataset))
    out = PREDICTIONS / key / dataset
    if reason := why_not_applicable(record, manifest):
        log(f"nothing to predict: {reason}")
        source = configuration.auxiliary(params, dataset)
        write_not_applicable(out, _without_models(configuration, record, source, manifest, reason))
        return
    if not manifest.test:
        raise UserError(f"params.yaml: datasets.{dataset}: has no test images to score")
    check_leaks(record.directory, configuration.protocol, manifest)
    renamed = dict(under_other_names(manifest, params.class_names))
    from zsad.inference.batches import load_seeds, predict_seeds

    predict_seeds(load_seeds(record, params), record, manifest, params, out, renamed)


def _without_models(
    configuration: Configuration, record: Record, source: str | None, manifest: Manifest, reason: str
) -> PredictionInfo:
    return PredictionInfo(
        learner=configuration.key,
        method=configuration.method,
        protocol=configuration.protocol,
        source=source,
        shots=configuration.shots,
        dataset=manifest.dataset,
        domain=manifest.domain,
        seeds=[],
        n_images=len(manifest.test),
        grid=(0, 0),
        upsample="nearest",
        sigma=0.0,
        config_hash=record.config_hash,
        dataset_hash=manifest.hash,
        reason=reason,
    )
