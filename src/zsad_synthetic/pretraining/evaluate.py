"""Zero-shot check of the embedded CLIP with hand-written prompts.

`python -m zsad_synthetic.pretraining.evaluate [FOLDER]`.

Without a folder it scores rendered pictures of the kinds held out of pretraining;
FOLDER holds datasets in MVTec layout, one folder each.
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from zsad.clip.embedded import loader as embedded
from zsad.learners.shared.states import ANOMALOUS_STATES, NORMAL_STATES
from zsad_synthetic.pretraining import model, tokens
from zsad_synthetic.pretraining.stream import views
from zsad_synthetic.pretraining.world import HELD_OUT, render

FRAMES = [
    "a photo of a {}.",
    "a close-up photo of the {}.",
    "a cropped photo of the {}.",
    "a bright photo of a {}.",
    "a photo of the small {}.",
]


class Picture(NamedTuple):
    """A picture at the model's size."""

    pixels: NDArray[np.uint8]
    """[H, W, 3]."""
    anomalous: bool
    mask: NDArray[np.bool_] | None
    """[H, W], or `None` where an anomalous picture comes without one."""


class Figures(NamedTuple):
    """Areas under ROC curves; NaN where undefined."""

    cls: float
    raw_cls: float
    largest_patch: float
    pixel: float
    late_pixel: float


def load(checkpoint: Path | None = None) -> open_clip.CLIP:
    """The embedded model, or that of a pretraining checkpoint, with its compact token table."""
    network = model.build(embedded.config(), len(tokens.kept_ids()) + 1)
    if checkpoint is not None:
        network.load_state_dict(torch.load(checkpoint, weights_only=True)["model"])
        return network.eval()
    weights = embedded.state_dict()
    table, ids = weights.pop("token_embedding.weight"), torch.from_numpy(tokens.kept_ids())
    unknown = int(np.setdiff1d(np.arange(len(table)), tokens.kept_ids())[0])
    network.load_state_dict(weights | {"token_embedding.weight": table[torch.cat([torch.tensor([unknown]), ids])]})
    return network.eval()


def state_axis(network: open_clip.CLIP, noun: str) -> Tensor:
    """[C] difference of the normalised anomalous and normal prompt ensembles."""
    means = []
    for states in (NORMAL_STATES, ANOMALOUS_STATES):
        texts = tokens.encode([frame.format(state.format(noun)) for frame in FRAMES for state in states])
        means.append(F.normalize(model.encode_text(network, *map(torch.as_tensor, texts)).mean(0), dim=-1))
    return means[1] - means[0]


@torch.inference_mode()
def figures(network: open_clip.CLIP, pictures: Iterable[Picture], noun: str) -> Figures:
    """Image AUROC of both class tokens and of the largest patch; pixel AUROC of both V-V streams."""
    axis_C, prepare = state_axis(network, noun), model.normaliser(embedded.config())
    labels, scores, pixels = [], [], []
    for picture in pictures:
        image = model.encode_image(network, prepare(picture.pixels[None]))
        first_N, late_N, _ = F.normalize(image.patches[:, 0], dim=-1) @ axis_C
        cls_score, raw_score = (float(F.normalize(f[0], dim=-1) @ axis_C) for f in (image.cls, image.raw_cls))
        labels.append(picture.anomalous)
        scores.append((cls_score, raw_score, float(first_N.max())))
        if picture.mask is not None:
            pixels.append((picture.mask.ravel(), *(_enlarge(f, picture.mask.shape) for f in (first_N, late_N))))
    cls, raw_cls, largest = (_auroc(np.array(labels), np.array(column)) for column in zip(*scores, strict=True))
    if not pixels:
        return Figures(cls, raw_cls, largest, float("nan"), float("nan"))
    masks, first, late = (np.concatenate(column) for column in zip(*pixels, strict=True))
    return Figures(cls, raw_cls, largest, _auroc(masks, first), _auroc(masks, late))


def _enlarge(scores_N: Tensor, shape: tuple[int, int]) -> NDArray[np.float32]:
    side = int(len(scores_N) ** 0.5)
    return cv2.resize(scores_N.view(side, side).numpy(), shape[::-1], interpolation=cv2.INTER_LINEAR).ravel()


def _auroc(labels: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    return float(roc_auc_score(labels, scores)) if len(np.unique(labels)) == 2 else float("nan")


def rendered(kinds: list[str], count: int, seed: int = 10_000) -> Iterator[Picture]:
    """Pictures of the procedural world, half of them anomalous, from seeds that pretraining does not use."""
    side = embedded.config()["model_cfg"]["vision_cfg"]["image_size"]
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        seen = views(rng, render(rng, kinds), side)[i % 2]
        yield Picture(seen.picture, seen.family is not None, seen.mask)


def folder(category: Path) -> Iterator[Picture]:
    """The test pictures of one category in MVTec layout."""
    for path in sorted((category / "test").glob("*/*")):
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if pixels is None:
            raise SystemExit(f"{path}: not a picture")
        anomalous = path.parent.name != "good"
        mask = _mask(category / "ground_truth" / path.parent.name / f"{path.stem}_mask.png") if anomalous else None
        squashed = _squash(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)).astype(np.uint8)
        yield Picture(squashed, anomalous, mask if anomalous else np.zeros(squashed.shape[:2], bool))


def _mask(path: Path) -> NDArray[np.bool_] | None:
    if not path.exists():
        return None
    return _squash((np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)) > 127).astype(np.float32)) > 0.3


def _squash(picture: NDArray[Any]) -> NDArray[Any]:
    side = embedded.config()["model_cfg"]["vision_cfg"]["image_size"]
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA))


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m zsad_synthetic.pretraining.evaluate", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="datasets in MVTec layout")
    parser.add_argument("--checkpoint", type=Path, help="pretraining checkpoint (default: the embedded weights)")
    parser.add_argument("--count", type=int, default=100, help="rendered pictures a kind")
    options = parser.parse_args(arguments)
    network = load(options.checkpoint)
    sets: dict[str, tuple[Iterable[Picture], str]] = {}
    if options.folder is None:
        sets = {kind: (rendered([kind], options.count), kind) for kind in HELD_OUT}
        sets |= {"all held out": (rendered(HELD_OUT, 4 * options.count), "object")}
    else:
        categories = sorted(p.parent for p in options.folder.glob("*/*/test"))
        if not categories:
            parser.error(f"{options.folder}: no <dataset>/<category>/test in it")
        sets = {f"{c.parent.name}/{c.name}": (folder(c), c.name.replace("_", " ")) for c in categories}
    print(f"{'':32}" + "".join(f"{name:>15}" for name in Figures._fields))
    for name, (pictures, noun) in sets.items():
        print(f"{name:32}" + "".join(f"{value:15.3f}" for value in figures(network, pictures, noun)), flush=True)


if __name__ == "__main__":
    main()
