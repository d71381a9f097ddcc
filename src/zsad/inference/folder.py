"""Files and folders of pictures → a table of scores, and heatmaps and overlays in a tree that mirrors the input."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from zsad.common.errors import UserError
from zsad.common.io import atomic_path
from zsad.common.progress import progress
from zsad.datasets.images import IMAGE_SUFFIXES
from zsad.datasets.listing import list_images
from zsad.inference.model import Predictor, Result, open_picture

COLUMNS = ("path", "score", "label", "threshold", "error")


def predict_paths(
    predictor: Predictor, paths: Sequence[Path], out: Path, prompt_name: str | None = None, category: str | None = None
) -> int:
    """Score files and folders into `out`: scores.csv, heatmaps and overlays in a tree that mirrors the input.

    A picture that cannot be read gets a row with its error and the rest goes on; returns how many there were.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is a file; name a folder")
    pictures = list(_pictures(paths, out))
    if not pictures and any(path.resolve().is_relative_to(out.resolve()) for path in paths):
        raise UserError(f"--out {out}: the pictures lie inside, where earlier output is not read; name another folder")
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
                result = predictor.predict(picture, prompt_name=prompt_name, category=category)
                _save(predictor, picture, result, out / relative)
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


def _save(predictor: Predictor, picture: Image.Image, result: Result, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    predictor.heatmap(result).save(place.with_name(f"{place.name}.heatmap.png"))
    predictor.overlay(picture, result).save(place.with_name(f"{place.name}.overlay.png"))
