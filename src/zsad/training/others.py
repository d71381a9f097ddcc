"""What the other configurations read of the same pictures through the same tower: one pass can serve them all."""

from collections.abc import Callable, Sequence

import torch

from zsad.clip.backbone import Clip, FeatureSpec
from zsad.clip.weights import WEIGHTS
from zsad.common.io import read_json
from zsad.common.progress import log
from zsad.config.configuration import Configuration
from zsad.config.params import Params
from zsad.learners.base import Learner
from zsad.learners.lookup import build_config, learner_class, make_learner

Others = Callable[[], Sequence[FeatureSpec]]  # asked for where a pass is to run, since learners are built for it


def read_in_prediction(params: Params, key: str, clip: Clip) -> list[FeatureSpec]:
    """What configurations beside `key` read of a target."""
    return _read(params, key, clip, lambda learner: learner.spec)


def read_in_training(params: Params, key: str, clip: Clip) -> list[FeatureSpec]:
    """What learners beside `key` read of a source whose pictures they take as they are."""

    def spec(learner: Learner) -> FeatureSpec | None:
        plain = learner.trained and not learner.few_shot and not learner.views
        return learner.training_spec if plain else None

    return _read(params, key, clip, spec)


def _read(params: Params, key: str, clip: Clip, spec_of: Callable[[Learner], FeatureSpec | None]) -> list[FeatureSpec]:
    """Of configurations whose pictures go the same way through the same tower; without what is work of its own beside
    the pass: windows, and the stream of local attention.
    """
    if key not in params.configurations:  # a checkpoint whose configuration has gone
        return []
    own, found = _way(params.configuration(key)), []
    for other in params.configurations:
        one = params.configuration(other)
        if other == key or _way(one) != own:
            continue
        try:
            found.append(_spec(one, clip, spec_of))
        except (
            Exception
        ) as error:  # of a learner in the making, or one that does not fit: its own cell will end with it
            log(f"{one.where}: what it reads is not kept ({error})")
    return [spec for spec in dict.fromkeys(found) if spec and not spec.windows and not spec.local]


def _spec(one: Configuration, clip: Clip, spec_of: Callable[[Learner], FeatureSpec | None]) -> FeatureSpec | None:
    settings = build_config(one.method, one.settings, one.where)
    cuda = [clip.device] if clip.device.type == "cuda" else []
    with torch.random.fork_rng(cuda):  # its first values are not to move what is drawn later
        return spec_of(make_learner(one.method, settings, clip, one.protocol, one.shots))


def _way(one: Configuration) -> list[object]:
    """Which tower, and how pictures get there."""
    folder, method = WEIGHTS / one.backbone_key, learner_class(one.method)
    openai = read_json(folder / "backbone.json")["family"] == "openai"
    native = read_json(folder / "open_clip_config.json")["model_cfg"]["vision_cfg"]["image_size"]
    activation = method.openai_activation if openai else None
    resize = method.position_resize if native != one.backbone.image_size else None
    return [one.backbone, activation, resize, one.protocol == "paper"]
