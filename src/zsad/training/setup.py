"""What a train or adapt cell starts from, whatever its data: method, typed settings and the frozen CLIP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zsad.clip.backbone import Clip
from zsad.clip.device import choose_device
from zsad.common.errors import UserError
from zsad.common.seeding import derive_seed, seed_everything
from zsad.config.configuration import Configuration
from zsad.config.params import Params
from zsad.datasets.manifest import Manifest
from zsad.learners.base import Learner, LearnerConfig
from zsad.learners.lookup import build_config, learner_class, make_learner
from zsad.training.checkpoint import load_configured_clip
from zsad.training.record import Record


@dataclass(frozen=True)
class Setup:
    """settings: the method's, typed; backbone: identity of `clip`, as checkpoints tell it."""

    params: Params
    configuration: Configuration
    settings: LearnerConfig
    clip: Clip
    backbone: Mapping[str, Any]

    @property
    def method(self) -> type[Learner]:
        """The method's class."""
        return learner_class(self.configuration.method)

    def learner(self) -> Learner:
        """An untrained learner; settings that do not fit this backbone are named by their place in params.yaml."""
        one = self.configuration
        try:
            return make_learner(one.method, self.settings, self.clip, one.protocol, one.shots)
        except UserError as error:
            raise UserError(f"params.yaml: {one.where}: {error}") from error

    def record(self, manifest: Manifest, seeds: Sequence[int], **more: Any) -> Record:
        """The cell's record, without files yet; `manifest`: of the source, or of the few-shot target."""
        one = self.configuration
        return Record(
            learner=one.key,
            source=manifest.dataset,
            config_hash=one.hash(self.params),
            method=one.method,
            protocol=one.protocol,
            dataset_hash=manifest.hash,
            seeds=list(seeds),
            settings=self.settings.model_dump(mode="json"),
            backbone=self.backbone,
            shots=one.shots or None,
            **more,
        )


def set_up(params: Params, configuration: Configuration, settings: Mapping[str, Any]) -> Setup:
    """Check the settings and load CLIP onto the device of params.yaml; from here on kernels are deterministic."""
    seed_everything(derive_seed("features"), params.deterministic)  # before the first kernel: CUDA reads it once
    typed = build_config(configuration.method, dict(settings), configuration.where)
    clip, backbone = load_configured_clip(configuration, choose_device(params.device))
    return Setup(params, configuration, typed, clip, backbone)
