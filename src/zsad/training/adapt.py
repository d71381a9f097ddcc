"""The `adapt` stage: one process adapts a few-shot configuration to every category of a target, for all seeds.

Each category under each seed is a model of its own, from the `shots` normal pictures that `support` draws. What is done
is kept in scratch, so an interrupted run goes on with the category it was in. CLIP must come out as it went in.
A method that reads the class name is adapted once more under each other naming of the classes. The few-shot form of a
trained learner begins with that learner's weights, seed by seed.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zsad.clip.backbone import FeatureSpec, ImageFeatures, encode_images
from zsad.clip.inputs import normalised, read_pixels
from zsad.common.cpu import without_subnormals
from zsad.common.errors import UserError
from zsad.common.io import content_hash, read_tensors, write_tensors
from zsad.common.progress import log, progress
from zsad.common.seeding import derive_seed, seed_everything
from zsad.config.configuration import Configuration
from zsad.config.params import Params
from zsad.datasets.class_names import FOLDER, under_other_names
from zsad.datasets.manifest import Manifest, Row, load_manifest
from zsad.learners.base import Learner
from zsad.learners.few_shot import FewShotLearner, Support
from zsad.learners.lookup import check_settings
from zsad.training.cell import Cell, Report, only_one, scratch_of
from zsad.training.checks import check_clip_unchanged, check_finite, clip_sums
from zsad.training.record import Record, write_unused
from zsad.training.setup import Setup, set_up
from zsad.training.source_weights import SourceWeights, source_weights
from zsad.training.support_set import Supports, draw_supports


def adapt(params: Params, key: str, dataset: str, report: Report, seeds: Sequence[int] | None = None) -> bool:
    """Adapt `few_shot.<key>` or `few_shot_of.<key>` to `dataset`, all seeds; writes data/checkpoints/<key>/<dataset>.

    A dataset without enough normal training pictures gets a record that says so, and no tensors: False then.
    """
    check_settings(params)
    configuration = params.configuration(key)
    if not configuration.shots:
        raise UserError(f"{key}: is no few-shot configuration; run `zsad train {key} SOURCE`")
    params.dataset(dataset)
    manifest = load_manifest(dataset)
    supports = draw_supports(manifest, configuration.shots, list(seeds or params.seeds))
    if reason := _why_not(params, configuration, dataset, supports):
        write_unused(Record(key, dataset, configuration.hash(params), reason))
        log(f"{key} on {dataset}: nothing to adapt to: {reason}")
        return False
    with only_one("adapt", key, dataset):
        weights = source_weights(params, configuration, dataset) if configuration.of else None
        settings = weights.record.settings if weights else configuration.settings
        _adapt(set_up(params, configuration, settings), manifest, supports, report, weights)
    return True


def _why_not(params: Params, configuration: Configuration, dataset: str, supports: Supports) -> str | None:
    """Why there is nothing to adapt, if so: the weights were trained on this set, or it has too few pictures."""
    if configuration.of and configuration.auxiliary(params, dataset) == dataset:
        return f"{configuration.of} is trained on {dataset}"
    if not supports.by_seed:
        return "; ".join(f"{category}: {why}" for category, why in supports.left_out.items())
    return None


def _adapt(setup: Setup, manifest: Manifest, supports: Supports, report: Report, weights: SourceWeights | None) -> None:
    record = setup.record(
        manifest,
        list(supports.by_seed),
        trained=setup.method.trained,
        support=supports.paths,
        left_out=dict(supports.left_out),
        **(weights.told if weights else {}),
    )
    supported = [row for drawn in supports.by_seed.values() for rows in drawn.values() for row in rows]
    cell = Cell(record, report, weights.seen if weights else supported)
    cell.announce(setup.configuration.shots * len(next(iter(supports.by_seed.values()))))
    with scratch_of(record, "adapt") as scratch, cell.checkpoints() as save:
        _fit_all(_Adaptation(setup, manifest, scratch, report, weights), supports, save)
        if setup.learner().adapts_to_name:
            for naming, other in under_other_names(manifest, setup.params.class_names):
                again = draw_supports(other, setup.configuration.shots, list(record.seeds))  # the same pictures
                own = scratch / naming / content_hash([row.prompt_name for row in other.test])
                _fit_all(
                    _Adaptation(setup, other, own, _unheard, weights), again, partial(save, folder=f"{FOLDER}/{naming}")
                )


def _unheard(event: str, **fields: Any) -> None:
    """The journal tells of the models that results are made with."""


def _fit_all(one: "_Adaptation", supports: Supports, save: Callable[..., None]) -> None:
    """Adapt to every category under every seed, and save."""
    for seed, drawn in supports.by_seed.items():
        label = f"{one.where}, seed {seed}"
        learners = {c: one.learner(c, rows, seed) for c, rows in progress(drawn.items(), len(drawn), label)}
        names = {c: rows[0].prompt_name for c, rows in drawn.items()}
        paths = supports.paths[str(seed)]
        save(seed, learners, categories={c: {"prompt_name": names[c], "support": paths[c]} for c in learners})


@dataclass
class _Adaptation:
    """What the categories and seeds of a cell share."""

    setup: Setup
    manifest: Manifest
    scratch: Path
    report: Report
    weights: SourceWeights | None
    frozen: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.frozen = clip_sums(self.setup.clip)

    @property
    def where(self) -> str:
        """The cell, for messages."""
        return f"{self.setup.configuration.where} on {self.manifest.dataset}"

    def learner(self, category: str, rows: Sequence[Row], seed: int) -> Learner:
        """The model of one category under one seed: adapted now, or as an interrupted run left it."""
        seed_everything(derive_seed("init", seed, category), self.setup.params.deterministic)
        learner = self.setup.learner()
        assert isinstance(learner, FewShotLearner)  # what check_settings is for
        done = self.scratch / str(seed) / f"{content_hash(category)}.safetensors"  # a name may be too long for a file
        if done.is_file():
            learner.restore(read_tensors(done)[0], done)
            return learner
        if self.weights:
            self.weights.put_into(learner, seed)
        self._fit(learner, self._support(learner.support_spec, rows, seed), category, seed)
        write_tensors(done, learner.checkpoint(), {})
        return learner

    def _support(self, spec: FeatureSpec, rows: Sequence[Row], seed: int) -> Support:
        side, resize_first = self.setup.clip.image_size, self.setup.configuration.protocol == "paper"
        pixels = np.stack([read_pixels(self.manifest.root / row.path, side, resize_first) for row in rows])
        category = rows[0].category
        encode, own_seed = partial(self._encode, spec), derive_seed("adapt", seed, category)
        return Support(torch.from_numpy(pixels), category, rows[0].prompt_name, encode, own_seed)

    def _encode(self, spec: FeatureSpec, pictures: Tensor) -> ImageFeatures:
        batches = [
            encode_images(self.setup.clip, normalised(pixels.numpy()), spec, self.setup.params.precision).tensors
            for pixels in pictures.split(self.setup.params.batch_size)
        ]
        return ImageFeatures({name: torch.cat([batch[name] for batch in batches]) for name in batches[0]})

    def _fit(self, learner: FewShotLearner, support: Support, category: str, seed: int) -> None:
        where = f"{self.where}, {category}, seed {seed}"
        begun = started = time.monotonic()
        first: dict[str, float] = {}
        last: dict[str, float] = {}
        try:
            with without_subnormals():
                for epoch, last in enumerate(learner.adapt(support)):
                    check_finite(learner, last, f"epoch {epoch + 1}", self.setup.configuration.where)
                    first = first or last
                    now = time.monotonic()
                    self.report("epoch", category=category, seed=seed, epoch=epoch, losses=last, seconds=now - started)
                    started = now
        except UserError as error:
            raise UserError(f"params.yaml: {where}: {error}") from error
        check_clip_unchanged(self.setup.clip, self.frozen)
        begin = {name: f"{value:.4f} → " for name, value in first.items()}
        losses = ", ".join(f"{name} {begin.get(name, '')}{value:.4f}" for name, value in last.items())
        log(f"{where}: " + (f"{losses}, " if losses else "") + f"{time.monotonic() - begun:.1f} s")
