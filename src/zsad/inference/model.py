"""One model and any pictures: what notebooks, the command line and the model server use.

Loads torch with a checkpoint only: exported files (`zsad.inference.export`) are scored by the same class without it.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from PIL import Image

from zsad.clip.inputs import to_input
from zsad.common.errors import UserError
from zsad.common.io import file_sha256
from zsad.datasets.images import in_threads
from zsad.inference import render
from zsad.inference.calibration import Calibration
from zsad.inference.maps import Floats, encode_logits, full_map
from zsad.inference.pictures.opening import Picture, open_picture
from zsad.inference.pictures.regions import Region, find_regions

if TYPE_CHECKING:
    from zsad.datasets.manifest import Manifest
    from zsad.inference.stored import PredictionWriter
    from zsad.learners.base import Learner
    from zsad.learners.shared.states import States

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Result:
    """One picture's anomaly score in [0, 1], and its anomaly map [H, W] in [0, 1] at the picture's own size.

    label: 1 anomalous, 0 normal, by `threshold`; percentile: share of the normal pictures with a score of at most this
    one, in [0, 100]. All three are None for a model without a calibration.
    """

    score: float
    map: Floats
    label: int | None = None
    threshold: float | None = None
    percentile: float | None = None


class Predictor:
    """A model ready to score pictures; memory does not depend on how many there are.

    A picture is a path, encoded bytes (PNG, JPEG, …), a Pillow image, or uint8 pixels [H, W, 3] (RGB) or [H, W].
    category: of a few-shot model, which of its categories the pictures are of; needed where it has several.
    prompt_name: for learners whose prompts hold a class name; default: the category's own, else "object".
    learners: by category ("" serves any); prompt_names: class name of each category, where the checkpoint knows it.
    checkpoint_sha256: of the file they come from, to which a calibration belongs.
    precision: what the frozen image tower computes in (docs/speed.md).
    """

    def __init__(
        self,
        learners: Mapping[str, "Learner"],
        prompt_names: Mapping[str, str] | None = None,
        checkpoint_sha256: str = "",
        calibration: Calibration | None = None,
        precision: str = "fp32",
    ) -> None:
        self.learners = learners
        self.prompt_names = prompt_names or {}
        self.checkpoint_sha256 = checkpoint_sha256
        self.calibration = calibration
        self.precision = precision

    def calibrated(self, calibration: Calibration) -> Self:
        """The same model with a threshold; UserError when the calibration is of another one."""
        calibration.check_model(self.checkpoint_sha256)
        if self.precision != "fp32":
            raise UserError(
                f"precision {self.precision}: calibration {calibration.name} was made in fp32; leave one of them out"
            )
        own = copy.copy(self)
        own.calibration = calibration
        return own

    def predict(self, image: Picture, *, prompt_name: str | None = None, category: str | None = None) -> Result:
        """Score one picture; an unreadable one raises UserError."""
        return next(self.predict_batch([image], 1, prompt_name=prompt_name, category=category))

    def predict_batch(
        self,
        images: Iterable[Picture],
        batch_size: int = 8,
        *,
        prompt_name: str | None = None,
        category: str | None = None,
    ) -> Iterator[Result]:
        """Score pictures one after another, `batch_size` at a time through the model; that changes no score."""
        if batch_size < 1:
            raise UserError(f"batch_size {batch_size}: at least 1")
        category = self.category(category)
        learner, waiting = self.learners[category], iter(images)
        name = self.prompt_name(category, prompt_name)
        while batch := in_threads(open_picture, islice(waiting, batch_size)):
            scores, logits = self.scored(batch, category, name)
            for i, picture in enumerate(batch):
                map_HW = full_map(encode_logits(logits[i]), picture.size[::-1], learner.upsample, learner.sigma)
                yield self._result(float(scores[i]), map_HW)

    def scored(self, batch: Sequence[Image.Image], category: str, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Image scores [b] and map log-odds [b, h, w] of RGB pictures in one pass; `name`: class name for prompts."""
        from zsad.clip.backbone import encode_images

        learner = self.learners[category]
        inputs = np.stack(in_threads(partial(to_input, side=learner.clip.image_size), batch))
        found = learner.score(encode_images(learner.clip, inputs, learner.spec, self.precision), [name] * len(batch))
        return found.score.cpu().numpy(), found.map_logits.cpu().numpy()

    def store(self, writer: "PredictionWriter", manifest: "Manifest", batch_size: int) -> None:
        """Write the predictions of a dataset's test split, each picture by the model of its category."""
        from zsad.inference.batches import Task, write_batches

        write_batches([Task({0: self.learners}, manifest, writer)], batch_size, self.precision)

    def heatmap(self, result: Result) -> Image.Image:
        """The map in colour on an absolute scale, so that pictures can be compared: dark blue 0, red 1."""
        return Image.fromarray(render.heatmap(result.map))

    def overlay(self, image: Picture, result: Result, scale: render.Scale | None = None) -> Image.Image:
        """Where in the picture: its map in colour over it; untouched is what lies below the scale.

        scale: default: from the calibration's pixel threshold on, else `scale` of this one result.
        """
        picture = open_picture(image)
        if picture.size[::-1] != result.map.shape:
            raise UserError(f"overlay: a map {result.map.shape} is not of a picture {picture.size[::-1]}")
        return Image.fromarray(render.overlay(np.asarray(picture), result.map, scale or self.scale([result])))

    def scale(self, results: Iterable[Result]) -> render.Scale:
        """What colours span in overlays that are to be compared: absolute with a calibration, else by these results."""
        if self.calibration:
            return render.scale_above(self.calibration.pixel_threshold)
        return render.scale_of([result.map for result in results])

    def regions(self, result: Result, threshold: float | None = None) -> list[Region]:
        """Where the map lies above a pixel threshold (default: the calibration's), the highest first."""
        if threshold is None:
            if self.calibration is None:
                raise UserError("regions: this model has no calibration; give a threshold in [0, 1]")
            threshold = self.calibration.pixel_threshold
        return find_regions(result.map, threshold)

    def prompt_name(self, category: str, asked: str | None) -> str:
        """The class name that prompts are told; with a calibration its own, and UserError when another is asked for."""
        default = self.prompt_names.get(category, "object")
        if self.calibration is None:
            return asked or default
        own = self.calibration.prompt_name or default
        if asked and asked != own:
            raise UserError(
                f"prompt_name {asked!r}: calibration {self.calibration.name} was made with {own!r}, and scores follow "
                "the name; leave it out, or calibrate with this name under another --name"
            )
        return own

    def category(self, category: str | None) -> str:
        """Key of the learner that serves `category`; UserError when there is none, or when it must be named.

        With a calibration it is that of the calibration.
        """
        if self.calibration is not None and self.calibration.category:
            if category not in (None, self.calibration.category):
                known = f"{self.calibration.name} is of {self.calibration.category!r}"
                raise UserError(f"category {category!r}: calibration {known}; take the calibration of this category")
            return self.calibration.category
        known = ", ".join(self.learners)
        if "" in self.learners:
            if category:
                raise UserError(f"category {category!r}: this is a zero-shot model, which has none; leave it out")
            return ""
        if category is None and len(self.learners) == 1:
            return next(iter(self.learners))
        if category is None:
            raise UserError(f"category: this few-shot model has one for each of: {known}; name the pictures' own")
        if category not in self.learners:
            raise UserError(f"category {category!r}: this few-shot model was adapted to: {known}")
        return category

    def _result(self, score: float, map_HW: Floats) -> Result:
        if (known := self.calibration) is None:
            return Result(score, map_HW)
        return Result(score, map_HW, known.label(score), known.threshold, known.percentile(score))


def load_checkpoint(
    path: Path, device: str = "auto", states: "States | None" = None, precision: str = "fp32"
) -> Predictor:
    """Predictor of a `.safetensors` checkpoint; its frozen CLIP is found by the hash the checkpoint holds.

    states: words for hand-written prompts in place of the checkpoint's.
    """
    from zsad.clip.device import choose_device
    from zsad.training import checkpoint

    check_device(device)
    check_precision(precision)
    learners, header = checkpoint.load_all(path, device=choose_device(device))
    if header.protocol != "strict":
        raise UserError(f"{path}: trained under protocol `{header.protocol}`, which reads the target; not for use")
    if states is not None:
        for learner in learners.values():
            _say(learner, states, header.method)
    for learner in learners.values():
        learner.settle()
    prompt_names = {c: known["prompt_name"] for c, known in (header.categories or {}).items()}
    return Predictor(learners, prompt_names, file_sha256(path), precision=precision)


def check_device(device: str) -> None:
    """UserError for a name that is no device."""
    if device not in DEVICES:
        raise UserError(f"device {device!r}: not one of {', '.join(DEVICES)}")


def check_precision(precision: str) -> None:
    """UserError for a name that is no precision."""
    if precision not in PRECISIONS:
        raise UserError(f"precision {precision!r}: not one of {', '.join(PRECISIONS)}")


def _say(learner: "Learner", states: "States", method: str) -> None:
    """Learned prompts hold no states, and some methods no prompts."""
    from zsad.learners.lookup import learner_class, methods
    from zsad.learners.shared.prompts import PromptEnsemble

    if not isinstance(learner, PromptEnsemble):
        takes = ", ".join(name for name in methods() if issubclass(learner_class(name), PromptEnsemble))
        raise UserError(f"states: {method} has no hand-written prompts to put them into; models of {takes} have")
    learner.say(states)
