"""One checkpoint and any pictures: what people, the command line and the model server use."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps

from zsad import checkpoint
from zsad.datasets.fetch import list_images
from zsad.datasets.images import DECODE_ERRORS, IMAGE_SUFFIXES, to_input, to_rgb
from zsad.errors import UserError
from zsad.io import atomic_path
from zsad.learners.base import Learner
from zsad.maps import Floats, encode_logits, full_map
from zsad.progress import progress
from zsad.source_data import encode_images

COLUMNS = ("path", "score", "label", "threshold", "error")


@dataclass(frozen=True)
class Result:
    """Score in [0, 1] and anomaly map [H, W] in [0, 1] of one picture, at its own size (W, H in `size`)."""

    score: float
    map: Floats
    size: tuple[int, int]


class Predictor:
    """A checkpoint ready to score pictures, one at a time: memory does not depend on how many there are.

    learners: by category ("" serves any); prompt_names: class name of each category, where the checkpoint knows it.
    """

    def __init__(self, learners: Mapping[str, Learner], prompt_names: Mapping[str, str] | None = None) -> None:
        self.learners = learners
        self.prompt_names = prompt_names or {}

    def predict(self, picture: Image.Image, prompt_name: str | None = None, category: str | None = None) -> Result:
        """Score one picture. `category` is needed where a few-shot checkpoint has several.

        prompt_name: for learners whose prompts hold a class name; default: the category's own, else "object".
        """
        category = self.category(category)
        learner = self.learners[category]
        images = to_input(picture, learner.clip.image_size)[None]
        features = encode_images(learner.clip, images, learner.spec, "fp32")
        scored = learner.score(features, [prompt_name or self.prompt_names.get(category, "object")])
        codes = encode_logits(scored.map_logits[0].cpu().numpy())
        W, H = picture.size
        return Result(
            score=float(scored.score[0]),
            map=full_map(codes, (H, W), learner.upsample, learner.sigma),
            size=(W, H),
        )

    def category(self, category: str | None) -> str:
        """Key of the learner that serves `category`; UserError when there is none, or when it must be named."""
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

    def predict_images(
        self, images: Iterable[bytes | Path], prompt_name: str | None = None, category: str | None = None
    ) -> list[Result]:
        """Score encoded pictures (PNG, JPEG, … bytes) or files; an unreadable one raises UserError."""
        return [self.predict(open_picture(image), prompt_name, category) for image in images]


def load_predictor(path: Path, device: str = "auto") -> Predictor:
    """Predictor of a `.safetensors` checkpoint; its frozen CLIP is found by the hash the checkpoint holds."""
    cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    learners, header = checkpoint.load_all(path, device=torch.device("cuda" if cuda else "cpu"))
    if header.protocol != "strict":
        raise UserError(f"{path}: trained under protocol `{header.protocol}`, which reads the target; not for use")
    return Predictor(learners, {c: known["prompt_name"] for c, known in (header.categories or {}).items()})


def open_picture(image: bytes | Path) -> Image.Image:
    """RGB picture, upright as a viewer shows it (EXIF orientation applied)."""
    name = str(image) if isinstance(image, Path) else "picture"
    try:
        with Image.open(image if isinstance(image, Path) else io.BytesIO(image)) as opened:
            return to_rgb(ImageOps.exif_transpose(opened))
    except DECODE_ERRORS as error:
        raise UserError(f"{name}: not a readable picture ({error})") from error


def predict_paths(
    predictor: Predictor, paths: Sequence[Path], out: Path, prompt_name: str | None = None, category: str | None = None
) -> int:
    """Score files and folders into `out`: scores.csv, heatmaps and overlays in a tree that mirrors the input.

    A picture that cannot be read gets a row with its error and the rest goes on; returns how many there were.
    """
    pictures = list(_pictures(paths, out))
    if not pictures:
        raise UserError(f"{', '.join(map(str, paths))}: no pictures there ({', '.join(IMAGE_SUFFIXES)})")
    predictor.category(category)
    failed = 0
    with atomic_path(out / "scores.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for path, relative in progress(pictures, len(pictures), "predicting"):
            row = {"path": str(path), "label": "", "threshold": "", "error": ""}
            try:
                picture = open_picture(path)
                result = predictor.predict(picture, prompt_name, category)
                _write_pictures(out / relative, np.asarray(picture), result.map)
                row["score"] = f"{result.score:.6f}"
            except UserError as error:
                row["error"] = str(error)
                failed += 1
            table.writerow(row)
    return failed


def _pictures(paths: Sequence[Path], out: Path) -> Iterator[tuple[Path, Path]]:
    """(file, its place below the output) of every picture named or found below a named folder, earlier output apart.

    One folder is mirrored as it is; several each under their own name. Two pictures for one place are refused.
    """
    taken: dict[Path, Path] = {}
    for path in paths:
        for file, place in _below(path, Path(path.resolve().name) if len(paths) > 1 else Path()):
            if file.resolve().is_relative_to(out.resolve()):
                continue
            if place in taken:
                raise UserError(
                    f"{file} and {taken[place]} would both be written as {out / place}; run them one by one"
                )
            taken[place] = file
            yield file, place


def _below(path: Path, prefix: Path) -> Iterator[tuple[Path, Path]]:
    if path.is_dir():
        yield from ((path / name, prefix / name) for name in list_images(path))
    elif path.is_file():
        yield path, Path(path.name)
    else:
        raise UserError(f"{path}: no such file or folder")


def _write_pictures(place: Path, picture_HW3: np.ndarray, map_HW: Floats) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(heatmap(map_HW)).save(place.with_name(f"{place.name}.heatmap.png"))
    Image.fromarray(overlay(picture_HW3, map_HW)).save(place.with_name(f"{place.name}.overlay.png"))


def heatmap(map_HW: Floats) -> np.ndarray:
    """Map in [0, 1] as RGB [H, W, 3]: dark blue 0, red 1. The scale is absolute, so pictures can be compared."""
    grey = np.rint(map_HW * 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)


def overlay(picture_HW3: np.ndarray, map_HW: Floats) -> np.ndarray:
    """Where in this picture: the map stretched to its own range, in colour over the picture, RGB [H, W, 3].

    Learners differ in how high their maps reach, so the score says how anomalous a picture is, and this only where.
    """
    low, high = map_HW.min(), map_HW.max()
    stretched = (map_HW - low) / (high - low) if high > low else np.zeros_like(map_HW)
    weight = 0.6 * stretched[..., None]
    return np.rint(picture_HW3 * (1 - weight) + heatmap(stretched) * weight).astype(np.uint8)
