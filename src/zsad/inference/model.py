"""One model and any pictures: what notebooks, the command line and the model server use."""

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from zsad.clip.backbone import encode_images
from zsad.clip.device import choose_device
from zsad.clip.inputs import to_input
from zsad.common.errors import UserError
from zsad.common.io import file_sha256
from zsad.datasets.images import DECODE_ERRORS, to_rgb
from zsad.inference import render
from zsad.inference.calibration import Calibration
from zsad.inference.maps import Floats, encode_logits, full_map
from zsad.learners.base import Learner
from zsad.learners.lookup import learner_class, methods
from zsad.learners.shared.prompts import PromptEnsemble
from zsad.learners.shared.states import States
from zsad.training import checkpoint

DEVICES = ("auto", "cpu", "cuda")
Picture = Image.Image | np.ndarray | bytes | str | PathLike[str]


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
    """

    def __init__(
        self,
        learners: Mapping[str, Learner],
        prompt_names: Mapping[str, str] | None = None,
        checkpoint_sha256: str = "",
        calibration: Calibration | None = None,
    ) -> None:
        self.learners = learners
        self.prompt_names = prompt_names or {}
        self.checkpoint_sha256 = checkpoint_sha256
        self.calibration = calibration

    def calibrated(self, calibration: Calibration) -> "Predictor":
        """The same model with a threshold; UserError when the calibration is of another one."""
        calibration.check_model(self.checkpoint_sha256)
        return Predictor(self.learners, self.prompt_names, self.checkpoint_sha256, calibration)

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
        while batch := [open_picture(image) for image in islice(waiting, batch_size)]:
            inputs = np.stack([to_input(picture, learner.clip.image_size) for picture in batch])
            features = encode_images(learner.clip, inputs, learner.spec, "fp32")
            scored = learner.score(features, [name] * len(batch))
            logits = scored.map_logits.cpu().numpy()
            for i, picture in enumerate(batch):
                map_HW = full_map(encode_logits(logits[i]), picture.size[::-1], learner.upsample, learner.sigma)
                yield self._result(float(scored.score[i]), map_HW)

    def heatmap(self, result: Result) -> Image.Image:
        """The map in colour on an absolute scale, so that pictures can be compared: dark blue 0, red 1."""
        return Image.fromarray(render.heatmap(result.map))

    def overlay(self, image: Picture, result: Result) -> Image.Image:
        """Where in the picture: its map, stretched to its own range, in colour over the picture."""
        picture = open_picture(image)
        if picture.size[::-1] != result.map.shape:
            raise UserError(f"overlay: a map {result.map.shape} is not of a picture {picture.size[::-1]}")
        return Image.fromarray(render.overlay(np.asarray(picture), result.map))

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


def load_checkpoint(path: Path, device: str = "auto", states: States | None = None) -> Predictor:
    """Predictor of a `.safetensors` checkpoint; its frozen CLIP is found by the hash the checkpoint holds.

    states: words for hand-written prompts in place of the checkpoint's.
    """
    if device not in DEVICES:
        raise UserError(f"device {device!r}: not one of {', '.join(DEVICES)}")
    learners, header = checkpoint.load_all(path, device=choose_device(device))
    if header.protocol != "strict":
        raise UserError(f"{path}: trained under protocol `{header.protocol}`, which reads the target; not for use")
    if states is not None:
        for learner in learners.values():
            _say(learner, states, header.method)
    prompt_names = {c: known["prompt_name"] for c, known in (header.categories or {}).items()}
    return Predictor(learners, prompt_names, file_sha256(path))


def _say(learner: Learner, states: States, method: str) -> None:
    """Learned prompts hold no states, and some methods no prompts."""
    if not isinstance(learner, PromptEnsemble):
        takes = ", ".join(name for name in methods() if issubclass(learner_class(name), PromptEnsemble))
        raise UserError(f"states: {method} has no hand-written prompts to put them into; models of {takes} have")
    learner.say(states)


def open_picture(image: Picture) -> Image.Image:
    """RGB picture, upright as a viewer shows it (EXIF orientation applied); UserError when there is none in it."""
    if isinstance(image, np.ndarray):
        return _from_pixels(image)
    name = str(image) if isinstance(image, str | PathLike) else "picture"
    try:
        if isinstance(image, Image.Image):
            return to_rgb(ImageOps.exif_transpose(image))
        with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
            return to_rgb(ImageOps.exif_transpose(opened))
    except DECODE_ERRORS as error:
        raise UserError(f"{name}: not a readable picture ({error})") from error


def _from_pixels(pixels: np.ndarray) -> Image.Image:
    fits = pixels.ndim >= 2 and pixels.shape[2:] in ((), (3,)) and pixels.size
    if pixels.dtype != np.uint8 or not fits:
        found = f"{pixels.dtype} {list(pixels.shape)}"
        raise UserError(f"picture: an array must be uint8 [H, W, 3] (RGB) or [H, W] (grey), this one is {found}")
    return to_rgb(Image.fromarray(pixels))
