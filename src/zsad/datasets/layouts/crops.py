"""Sets that the papers cut into pieces: the pieces are written once, in the layout of MVTec AD, and read from there.

KolektorSDD is cut in thirds by height, AITEX into tiles of 256 columns. A piece is anomalous if its part of the mask
has a pixel set. crops.csv beside the pieces names the picture and the box that each comes from.
"""

import csv
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from zsad.datasets.images import read_image
from zsad.datasets.layouts.base import NORMAL, Files, Layout, Options, Reading, stem_of
from zsad.datasets.layouts.mvtec import MVTEC_LIKE, MvtecLike
from zsad.datasets.masks import read_mask

DEFECT = "defect"
TABLE = "crops.csv"
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels


@dataclass(frozen=True)
class Piece:
    """One piece to write: name without extension, the picture it comes from, pixels [h, w, 3], mask bool [h, w]."""

    name: str
    parent: str
    box: Box
    pixels: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Cutter:
    """signature: what the files before cutting look like. pieces: of these files, without those of unusable masks."""

    signature: tuple[str, ...]
    pieces: Callable[[Files, Collection[str]], Iterator[Piece]]

    def cut(self, files: Files, category: str, unusable: Collection[str], out: Path) -> None:
        """Write the pieces below `out`/`category` and the table into `out`; UserError names pictures without mask.

        unusable: stems of anomalous pictures that are known to have no mask.
        """
        pieces = self.pieces(files, unusable)
        out.mkdir(parents=True, exist_ok=True)
        with (out / TABLE).open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["path", "parent", "left", "top", "right", "bottom"])
            for piece in pieces:
                table.writerow([_write(piece, out, category), piece.parent, *piece.box])


def _write(piece: Piece, out: Path, category: str) -> str:
    kind = DEFECT if piece.mask.any() else NORMAL
    _save(piece.pixels, path := out / category / "test" / kind / f"{piece.name}.png")
    if kind == DEFECT:
        grey = piece.mask.astype(np.uint8) * np.uint8(255)
        _save(grey, out / category / "ground_truth" / kind / f"{piece.name}_mask.png")
    return path.relative_to(out).as_posix()


def _save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _ksdd(files: Files, unusable: Collection[str]) -> Iterator[Piece]:
    names = [name for name in files.pictures if re.fullmatch(r"kos\d+/Part\d+\.\w+", name)]
    labels = {_without_label(name): name for name in files.pictures if stem_of(name).endswith("_label")}
    bare = [f"no label picture for {n} (expected {_bare(n)}_label.*)" for n in names if _bare(n) not in labels]
    orphans = [f"no picture for label {labels[stem]}" for stem in labels if stem not in {_bare(name) for name in names}]
    files.fail([*bare, *orphans])
    return (piece for name in names for piece in _thirds(files.root, name, labels[_bare(name)]))


def _thirds(root: Path, name: str, label: str) -> Iterator[Piece]:
    pixels = read_image(root / name)
    height, width = pixels.shape[:2]
    mask = read_mask(root / label, (width, height), "nonzero")
    edges = [height * third // 3 for third in range(4)]
    for number, (top, bottom) in enumerate(pairwise(edges)):
        piece = f"{_bare(name).replace('/', '_')}_{number}"
        yield Piece(piece, name, (0, top, width, bottom), pixels[top:bottom], mask[top:bottom])


def _bare(name: str) -> str:
    return name.rpartition(".")[0]


def _without_label(name: str) -> str:
    return _bare(name).removesuffix("_label")


def _aitex(files: Files, unusable: Collection[str]) -> Iterator[Piece]:
    """Tiles of normal pictures, and those tiles of the others that show a defect: their clean ones are not used."""
    normal = [name for name in files.pictures if name.startswith("NODefect_images/")]
    defects = [n for n in files.pictures if n.startswith("Defect_images/") and stem_of(n) not in unusable]
    masks = {name: _aitex_masks(files, stem_of(name)) for name in defects}
    used = {mask for found in masks.values() for mask in found}
    orphans = [name for name in files.pictures if name.startswith("Mask_images/") and name not in used]
    bare = [f"no mask for {name} (expected Mask_images/{stem_of(name)}_mask.*)" for name in defects if not masks[name]]
    files.fail([*bare, *(f"no picture for mask {name}" for name in orphans)])
    return _tiles_of_all(files.root, normal, masks)


def _aitex_masks(files: Files, stem: str) -> list[str]:
    """A defect may have several masks, <stem>_mask1, <stem>_mask2, in a folder that may stand in one of its name."""
    pattern = re.compile(rf"Mask_images/(?:.*/)?{re.escape(stem)}_mask\d*\.\w+")
    return [name for name in files.pictures if pattern.fullmatch(name)]


def _tiles_of_all(root: Path, normal: list[str], masks: dict[str, list[str]]) -> Iterator[Piece]:
    for name in normal:
        yield from _tiles(root, name, [])
    for name, found in masks.items():
        yield from (piece for piece in _tiles(root, name, found) if piece.mask.any())


def _tiles(root: Path, name: str, masks: list[str]) -> Iterator[Piece]:
    """Squares from left to right, the last one as wide as what is left."""
    pixels = read_image(root / name)
    height, width = pixels.shape[:2]
    inner = "_".join(PurePosixPath(_bare(name)).parts[1:])  # fabrics may repeat each other's names
    mask = np.zeros((height, width), dtype=bool)
    for one in masks:
        mask |= read_mask(root / one, (width, height), "nonzero")
    for number, left in enumerate(range(0, width, height)):
        right = min(left + height, width)
        box = (left, 0, right, height)
        yield Piece(f"{inner}_{number:02d}", name, box, pixels[:, left:right], mask[:, left:right])


def _read_cut(files: Files, options: Options) -> Reading:
    return MVTEC_LIKE.read(files, MvtecLike(image_only=options.image_only))


CUT = Layout(Options, lambda options: [TABLE, "*/test/*/*"], _read_cut)
CUTTERS = {
    "ksdd_crops": Cutter(("kos*/Part*", "kos*/Part*_label.*"), _ksdd),
    "aitex_tiles": Cutter(("Defect_images/**", "NODefect_images/**", "Mask_images/**"), _aitex),
}
