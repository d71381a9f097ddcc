"""Writes what both sides are given: see `case`."""

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zsad.clip.backbone import Clip
from zsad.clip.untrained import config_as_openai, write_untrained
from zsad.common.io import write_json
from zsad.common.seeding import seed_everything
from zsad.config.schema import BackboneParams
from zsad.learners.base import Learner
from zsad.pipeline.bench.against.case import Case, draw_pictures
from zsad.pipeline.bench.against.ours import inputs, make_learner
from zsad.pipeline.bench.against.repository import driver_of


def write_shared(folder: Path, backbone: BackboneParams) -> None:
    """A CLIP of the backbone's architecture with random weights, and pictures of its size."""
    from safetensors.torch import load_file

    config = config_as_openai(backbone)
    write_untrained(config, folder / "clip")
    write_json(folder / "clip.json", config)
    torch.save(load_file(folder / "clip" / "open_clip_model.safetensors"), folder / "clip.pth")
    draw_pictures(folder / "pictures", backbone.image_size)
    inputs(folder, backbone.image_size)


def write_learner(folder: Path, method: str, what: str, repository: Path, device: str, epochs: int, side: int) -> Case:
    """An untrained learner for this part of the comparison; its case."""
    from safetensors.torch import save_file

    seed_everything(0, deterministic=True)
    driver = driver_of(method)
    settings = driver.settings(what, epochs, side)
    learner = make_learner(folder, method, settings, side, "cpu")
    save_file(
        {name: value.contiguous() for name, value in learner.state_dict().items()}, folder / "learner.safetensors"
    )
    top, state = as_official(method, learner)
    torch.save({top: state}, folder / "official.pth")
    beside = {driver.renamed(name): value for name, value in learner.named_parameters() if name not in state}
    torch.save(state | beside, folder / "initial.pth")
    case = Case(method, what, str(repository), device, epochs, settings=settings, **_sizes(learner, learner.clip))
    case.write(folder)
    return case


def as_official(method: str, learner: Learner) -> tuple[str, dict[str, Tensor]]:
    """The key and the tensors of a file of the official code that holds this learner; what nothing reads is 0."""
    layout = importlib.import_module(f"zsad.training.official.{method}").layout(learner)
    ours = learner.checkpoint()
    state = {name: ours[name].reshape(shape) for name, shape in layout.trained.items()}
    state |= layout.frozen
    state |= {copy: state[name] for copy, name in layout.copies.items()}
    state |= {name: torch.zeros(shape) for name, shape in layout.unused.items()}
    return layout.top, {name: value.detach().clone() for name, value in state.items()}


def _sizes(learner: Learner, clip: Clip) -> dict[str, Any]:
    return {
        "image_size": clip.image_size,
        "patch": clip.patch_size,
        "blocks": len(clip.image.blocks),
        "width": clip.text.width,
        "vv_start": getattr(learner, "vv_start", 0),
        "layers": list(getattr(learner, "layers", ())),
        "deep_sets": len(getattr(learner, "compound_prompts_text", ())),
    }
