"""The `train` stage: one process trains all seeds of a configuration on one auxiliary source.

The frozen features of the source are computed once, for all seeds and epochs. Where an official checkpoint was
imported, its weights stand in for training.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from zsad.common.code_digest import digest
from zsad.common.errors import UserError
from zsad.common.progress import log
from zsad.common.seeding import derive_seed, seed_everything
from zsad.config.configuration import Configuration
from zsad.config.params import Params
from zsad.datasets.manifest import Manifest, load_manifest
from zsad.learners.base import Learner
from zsad.learners.lookup import check_settings, learner_class
from zsad.training.cell import Cell, Report, only_one, scratch_of
from zsad.training.feature_store import shared_stores
from zsad.training.features import SourceData
from zsad.training.loop import Trainer
from zsad.training.official.reuse import copy_imported
from zsad.training.others import read_in_training
from zsad.training.record import Record, write_unused
from zsad.training.references import ByCategory, draw_references
from zsad.training.setup import Setup, set_up


def train(params: Params, key: str, source: str, report: Report, seeds: Sequence[int] | None = None) -> bool:
    """Train `learners.<key>` on `source`, all seeds; writes data/checkpoints/<key>/<source>.

    A source that no target needs with this configuration gets a record that says so, and no tensors: False then.
    """
    check_settings(params)
    configuration = params.configuration(key)
    if configuration.shots:
        raise UserError(f"{key}: is a few-shot configuration, which is not trained on a source; run `zsad adapt {key}`")
    here, chosen = configuration.on(source), list(seeds or params.seeds)
    if here.unused:
        write_unused(Record(key, source, configuration.hash(params), here.unused))
        log(f"{key} on {source}: nothing to train: {here.unused}")
        return False
    manifest = load_manifest(source)
    with only_one("train", key, source):
        if here.imported:
            copy_imported(params, configuration, here, manifest, chosen[0], report)
        else:
            _check_labels(configuration, manifest)
            _train(set_up(params, configuration, here.settings), manifest, chosen, report)
    return True


def _check_labels(configuration: Configuration, manifest: Manifest) -> None:
    if learner_class(configuration.method).trained and not manifest.has_pixel_labels:
        where = f"params.yaml: sources.{manifest.dataset}"
        raise UserError(f"{where}: training needs anomalous test images with masks; it has none")


def _train(setup: Setup, manifest: Manifest, seeds: list[int], report: Report) -> None:
    trained, pictures = setup.method.trained, manifest.trainable
    record = setup.record(manifest, seeds if trained else seeds[:1], trained=trained)
    example = setup.learner()  # says what training reads; each seed has a learner of its own
    beside = draw_references(manifest, example.references) if example.references else {}
    seen = [*pictures, *(row for rows in beside.values() for row in rows)]
    cell = Cell(record, report, seen if trained else ())
    cell.announce(len(pictures))
    deterministic = setup.params.deterministic
    with scratch_of(record, "train") as scratch, cell.checkpoints() as save:
        trainer = _trainer(setup, example, manifest, beside, scratch, report) if trained else None
        for seed in record.seeds:
            seed_everything(derive_seed("init", seed), deterministic)
            learner = setup.learner()
            if trainer is not None:
                trainer.fit(learner, seed)
            learner.draw(torch.Generator().manual_seed(derive_seed("draws", seed)))
            save(seed, learner)


def _trainer(
    setup: Setup, example: Learner, manifest: Manifest, beside: ByCategory, scratch: Path, report: Report
) -> Trainer:
    """The source with its frozen features, ready to train on; `beside`: normal pictures to compare with."""
    params, configuration = setup.params, setup.configuration
    views = (example.views, example.view)
    own, stores, viewed = scratch / "features", shared_stores(params), _decides_views(setup, manifest)
    data = SourceData(manifest, setup.clip, own, *views, beside, stores, viewed)
    resize_first = configuration.protocol == "paper"
    others = partial(read_in_training, params, configuration.key, manifest.dataset, setup.clip)
    data.encode(example.training_spec, params.batch_size, params.precision, resize_first, others)
    return Trainer(data, scratch, params.deterministic, report, configuration.where)


def _decides_views(setup: Setup, manifest: Manifest) -> list[object]:
    """Beside the pictures: masks, the method, and any of its settings."""
    code = digest("zsad.training.features", f"zsad.learners.{setup.configuration.method}", apart=["zsad.config"])
    return [manifest.hash, code, setup.settings.model_dump(mode="json")]
