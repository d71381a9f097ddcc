"""What the other configurations read of the same pictures through the same tower: one pass can serve them all."""

from collections.abc import Callable, Sequence
from typing import Any

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
SpecOf = Callable[[Configuration, Clip], FeatureSpec | None]


def read_in_prediction(params: Params, key: str, clip: Clip) -> list[FeatureSpec]:
    """What configurations beside `key` read of a target."""
    return _read(params, key, clip, lambda one, clip: _learner(one, clip, one.settings).spec)


def read_in_training(params: Params, key: str, source: str, clip: Clip) -> list[FeatureSpec]:
    """What learners beside `key` that train on `source` read of it, if they take its pictures as they are."""

    def spec(one: Configuration, clip: Clip) -> FeatureSpec | None:
        here = one.on(source)
        if one.shots or here.unused or here.imported:
            return None
        learner = _learner(one, clip, here.settings)
        return learner.training_spec if learner.trained and not learner.views else None

    return _read(params, key, clip, spec)


def _read(params: Params, key: str, clip: Clip, spec_of: SpecOf) -> list[FeatureSpec]:
    """Nothing of a learner that wants work of its own beside the pass: windows, or the stream of local attention.

    Where a configuration cannot be asked, its own cell ends with the reason; here it costs a line.
    """
    found: list[FeatureSpec | None] = []
    if key not in params.configurations:  # a checkpoint whose configuration has gone
        return []
    try:
        own = _way(params.configuration(key))
    except Exception as error:
        log(f"{key}: frozen features are kept for it alone ({error})")
        return []
    for other in params.configurations:
        try:
            one = params.configuration(other)
            if other != key and _way(one) == own:
                found.append(spec_of(one, clip))
        except Exception as error:
            log(f"{other}: what it reads is not kept ({error})")
    return [spec for spec in dict.fromkeys(found) if spec and not spec.windows and not spec.local]


def _learner(one: Configuration, clip: Clip, settings: dict[str, Any]) -> Learner:
    typed = build_config(one.method, settings, one.where)
    cuda = [clip.device] if clip.device.type == "cuda" else []
    with torch.random.fork_rng(cuda):  # its first values are not to move what is drawn later
        return make_learner(one.method, typed, clip, one.protocol, one.shots)


def _way(one: Configuration) -> dict[str, object]:
    """Which tower, by the files of its backbone, and how pictures get there."""
    folder, method = WEIGHTS / one.backbone_key, learner_class(one.method)
    openai = read_json(folder / "backbone.json")["family"] == "openai"
    native = read_json(folder / "open_clip_config.json")["model_cfg"]["vision_cfg"]["image_size"]
    return {
        "backbone": one.backbone,
        "activation": method.openai_activation if openai else None,
        "positions": method.position_resize if native != one.backbone.image_size else None,
        "resize_first": one.protocol == "paper",
    }
