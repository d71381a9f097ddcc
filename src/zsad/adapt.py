"""The `adapt` stage: one process adapts a few-shot configuration to every category of a target, for all seeds.

Each category under each seed is a model of its own, from the `shots` normal pictures that `support` draws. What is done
is kept in scratch, so an interrupted run goes on with the category it was in. CLIP must come out as it went in.
"""

import math
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zsad import checkpoint, code
from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures
from zsad.clip.frozen import check_clip_unchanged, clip_sums
from zsad.config import Block, Configuration, Params
from zsad.datasets.images import normalised, read_pixels
from zsad.datasets.manifest import Manifest, Row, load_manifest
from zsad.errors import UserError
from zsad.io import content_hash, read_tensors, write_tensors
from zsad.learners.base import Learner, build_config, learner_class
from zsad.learners.few_shot import FewShotLearner, Support
from zsad.progress import log, progress
from zsad.seeding import derive_seed, seed_everything
from zsad.source_data import encode_images
from zsad.support import Supports, draw_supports
from zsad.training_cell import (
    Report,
    TrainingCell,
    build_learner,
    check_all_settings,
    choose_device,
    head_of,
    only_one,
    write_unused,
)

SCRATCH = Path("data/scratch/adapt")


def adapt(params: Params, key: str, dataset: str, report: Report, seeds: Sequence[int] | None = None) -> bool:
    """Adapt `few_shot.<key>` to `dataset`, all seeds; writes data/checkpoints/<key>/<dataset>.

    A dataset without enough normal training pictures gets a record that says so, and no tensors: False then.
    """
    configuration = params.configuration(key)
    check_all_settings(params)
    if not configuration.shots:
        raise UserError(f"{key}: is no few-shot configuration; run `zsad train {key} SOURCE`")
    params.dataset(dataset)
    manifest = load_manifest(dataset)
    supports = draw_supports(manifest, configuration.shots, list(seeds or params.seeds))
    if not supports.by_seed:
        reason = "; ".join(f"{category}: {why}" for category, why in supports.left_out.items())
        write_unused(key, dataset, reason)
        log(f"{key} on {dataset}: nothing to adapt to: {reason}")
        return False
    with only_one(SCRATCH / key / f"{dataset}.lock"):
        _adapt_cell(params, configuration, manifest, supports, report)
    return True


def _adapt_cell(
    params: Params, configuration: Configuration, manifest: Manifest, supports: Supports, report: Report
) -> None:
    # Before the first kernel: CUDA reads its settings once.
    seed_everything(derive_seed("features"), params.deterministic)
    settings = build_config(configuration.method, configuration.settings, configuration.where)
    clip, backbone = checkpoint.load_configured_clip(configuration, choose_device(params))
    more = {
        "trained": learner_class(configuration.method).trained,
        "support": supports.paths,
        "left_out": dict(supports.left_out),
    }
    head = head_of(params, configuration, manifest.dataset, manifest, settings, backbone)
    seen = [row for drawn in supports.by_seed.values() for rows in drawn.values() for row in rows]
    cell = TrainingCell(head, list(supports.by_seed), report, more, seen)
    cell.announce(configuration.shots * len(next(iter(supports.by_seed.values()))))
    scratch = SCRATCH / configuration.key / manifest.dataset / content_hash([cell.record, code.package_hash()])
    one = _Adaptation(params, configuration, settings, clip, manifest, scratch, report)
    with cell.checkpoints() as save:
        for seed, drawn in supports.by_seed.items():
            label = f"{configuration.where} on {manifest.dataset}, seed {seed}"
            learners = {c: one.learner(c, rows, seed) for c, rows in progress(drawn.items(), len(drawn), label)}
            names = {c: rows[0].prompt_name for c, rows in drawn.items()}
            paths = supports.paths[str(seed)]
            save(seed, learners, categories={c: {"prompt_name": names[c], "support": paths[c]} for c in learners})
    shutil.rmtree(scratch.parent, ignore_errors=True)


class _Adaptation:
    """What the categories and seeds of a cell share."""

    def __init__(
        self,
        params: Params,
        configuration: Configuration,
        settings: Block,
        clip: Clip,
        manifest: Manifest,
        scratch: Path,
        report: Report,
    ) -> None:
        self.params, self.configuration, self.settings = params, configuration, settings
        self.clip, self.manifest, self.scratch, self.report = clip, manifest, scratch, report
        self.frozen = clip_sums(clip)

    def learner(self, category: str, rows: Sequence[Row], seed: int) -> Learner:
        """The model of one category under one seed: adapted now, or as an interrupted run left it."""
        seed_everything(derive_seed("init", seed, category), self.params.deterministic)
        learner = build_learner(self.configuration, self.settings, self.clip)
        assert isinstance(learner, FewShotLearner)  # what check_all_settings is for
        done = self.scratch / str(seed) / f"{content_hash(category)}.safetensors"  # a name may be too long for a file
        if done.is_file():
            learner.restore(read_tensors(done)[0], done)
            return learner
        self._fit(learner, self._support(learner.support_spec, rows, seed), category, seed)
        write_tensors(done, learner.checkpoint(), {})
        return learner

    def _support(self, spec: FeatureSpec, rows: Sequence[Row], seed: int) -> Support:
        side, resize_first = self.clip.image_size, self.configuration.protocol == "paper"
        pixels = np.stack([read_pixels(self.manifest.root / row.path, side, resize_first) for row in rows])
        category = rows[0].category
        encode, own_seed = partial(self._encode, spec), derive_seed("adapt", seed, category)
        return Support(torch.from_numpy(pixels), category, rows[0].prompt_name, encode, own_seed)

    def _encode(self, spec: FeatureSpec, pictures: Tensor) -> ImageFeatures:
        batches = [
            encode_images(self.clip, normalised(pixels.numpy()), spec, self.params.precision).tensors
            for pixels in pictures.split(self.params.batch_size)
        ]
        return ImageFeatures({name: torch.cat([batch[name] for batch in batches]) for name in batches[0]})

    def _fit(self, learner: FewShotLearner, support: Support, category: str, seed: int) -> None:
        where = f"{self.configuration.where} on {self.manifest.dataset}, {category}, seed {seed}"
        begun = started = time.monotonic()
        first: dict[str, float] = {}
        last: dict[str, float] = {}
        try:
            for epoch, last in enumerate(learner.adapt(support)):
                self._check_finite(learner, last, f"epoch {epoch + 1}")
                first = first or last
                now = time.monotonic()
                self.report("epoch", category=category, seed=seed, epoch=epoch, losses=last, seconds=now - started)
                started = now
        except UserError as error:
            raise UserError(f"params.yaml: {where}: {error}") from error
        check_clip_unchanged(self.clip, self.frozen)
        begin = {name: f"{value:.4f} → " for name, value in first.items()}
        losses = ", ".join(f"{name} {begin.get(name, '')}{value:.4f}" for name, value in last.items())
        log(f"{where}: " + (f"{losses}, " if losses else "") + f"{time.monotonic() - begun:.1f} s")

    def _check_finite(self, learner: Learner, losses: dict[str, Any], label: str) -> None:
        finite = all(math.isfinite(value) for value in losses.values())
        if not finite or not all(tensor.isfinite().all() for tensor in learner.state_dict().values()):
            rates = ", ".join(f"{self.configuration.where}.{n}" for n in vars(learner.config) if n.startswith("lr"))
            raise UserError(f"{label}: loss or parameters not finite ({losses}); lower {rates}")
