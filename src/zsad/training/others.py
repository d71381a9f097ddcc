"""What the other configurations read of the same pictures through the same tower: one pass can serve them all."""

from collections.abc import Callable, Iterator, Sequence

import torch

from zsad.clip.backbone import Clip, FeatureSpec
from zsad.clip.weights import WEIGHTS
from zsad.common.errors import UserError
from zsad.common.io import read_json
from zsad.config.configuration import Configuration
from zsad.config.params import Params
from zsad.learners.base import Learner
from zsad.learners.lookup import build_config, learner_class, make_learner

Others = Callable[[], Sequence[FeatureSpec]]  # asked for where a pass is to run, since learners are built for it


def read_in_prediction(params: Params, key: str, clip: Clip) -> list[FeatureSpec]:
    """What configurations beside `key` read of a target."""
    return _by_the_way(learner.spec for learner in _others(params, key, clip))


def read_in_training(params: Params, key: str, clip: Clip) -> list[FeatureSpec]:
    """What learners beside `key` read of a source whose pictures they take as they are."""
    learners = (learner for learner in _others(params, key, clip) if learner.trained and not learner.few_shot)
    return _by_the_way(learner.training_spec for learner in learners if not learner.views)


def _by_the_way(specs: Iterator[FeatureSpec]) -> list[FeatureSpec]:
    """Without what is work of its own beside the pass: windows, and the stream of local attention."""
    return [spec for spec in dict.fromkeys(specs) if not spec.windows and not spec.local]


def _others(params: Params, key: str, clip: Clip) -> Iterator[Learner]:
    """Untrained learners of the configurations whose pictures go the same way through the same tower."""
    if key not in params.configurations:  # a checkpoint whose configuration has gone
        return
    way = _way(params.configuration(key))
    cuda = [clip.device] if clip.device.type == "cuda" else []
    for other in params.configurations:
        one = params.configuration(other)
        if other == key or _way(one) != way:
            continue
        settings = build_config(one.method, one.settings, one.where)
        try:
            with torch.random.fork_rng(cuda):  # their first values are not to move ours
                yield make_learner(one.method, settings, clip, one.protocol, one.shots)
        except UserError:
            continue  # does not fit this backbone; its own cell says so


def _way(one: Configuration) -> list[object]:
    """Which tower, and how pictures get there."""
    folder, method = WEIGHTS / one.backbone_key, learner_class(one.method)
    openai = read_json(folder / "backbone.json")["family"] == "openai"
    native = read_json(folder / "open_clip_config.json")["model_cfg"]["vision_cfg"]["image_size"]
    activation = method.openai_activation if openai else None
    resize = method.position_resize if native != one.backbone.image_size else None
    return [one.backbone, activation, resize, one.protocol == "paper"]
