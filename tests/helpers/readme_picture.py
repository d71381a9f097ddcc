"""The README's picture: what a model finds in demo pictures of sets it has never seen. `make docs` writes it.

Wants the demo to have run. A column a picture, none of them chosen by its result: as it is, its ground truth, the
overlay of the champion.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

import zsad
from tests.helpers import ROOT
from zsad.datasets.manifest import Manifest, Row, load_manifest

MODEL = "models:/anomalyclip@champion"
SHOWN = (  # the first picture of each
    "demo_texture/cork/burn_spot",
    "demo_texture/corduroy/moth_bite",
    "demo_texture/honeycomb/crushed_cell",
    "demo_object/key/verdigris",
    "demo_object/bulb/soot_cap",
    "demo_medical/retina/exudate_cluster",
    "demo_medical/histology/mucin_lake",
    "demo_medical/bone_xray/bone_cyst",
)
SIDE, GAP = 120, 6  # pixels
OUT = ROOT / "docs/images/demo.png"


def first_of(place: str) -> tuple[Manifest, Row]:
    """The first test picture of DATASET/CATEGORY/DEFECT."""
    dataset, category, defect = place.split("/")
    manifest = load_manifest(dataset)
    rows = (row for row in manifest.test if (row.category, row.defect_type) == (category, defect))
    return manifest, next(rows)


def outlined(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture with the border of its anomaly in red."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(picture.copy(), found, -1, (230, 30, 30), 2)


def tile(pixels: np.ndarray) -> np.ndarray:
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def row_of(model: zsad.Predictor, place: str) -> Sequence[np.ndarray]:
    manifest, row = first_of(place)
    path = manifest.root / row.path
    picture = tile(np.asarray(Image.open(path).convert("RGB")))
    mask = np.asarray(Image.open(manifest.root / row.mask).resize((SIDE, SIDE))) > 127
    overlay = tile(np.asarray(model.overlay(path, model.predict(path, prompt_name=row.prompt_name))))
    return picture, outlined(picture, mask), overlay


def main() -> None:
    """Write the picture: a column a demo picture."""
    model = zsad.load(MODEL)
    columns = [row_of(model, place) for place in SHOWN]
    sheet = np.full((3 * SIDE + 2 * GAP, len(columns) * SIDE + (len(columns) - 1) * GAP, 3), 255, np.uint8)
    for x, column in enumerate(columns):
        for y, pixels in enumerate(column):
            top, left = y * (SIDE + GAP), x * (SIDE + GAP)
            sheet[top : top + SIDE, left : left + SIDE] = pixels
    OUT.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).quantize(256).save(OUT, optimize=True)


if __name__ == "__main__":
    main()
