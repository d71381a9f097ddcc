"""Second stage of the pretraining: a new text tower, learned from captions as people write them.

The image tower is locked, as in LiT (Zhai et al., CVPR 2022, arXiv 2111.07991). The text tower of the first stage
taught it what a defect is, by captions that are always right about the state of a thing. Nobody writes such captions:
half of these say nothing of the state, and most state words follow the look of a picture, "damaged" for a dark and
blurred one. So hand-written prompts point only roughly where the image features tell normal from anomalous, as with
published models, and a prompt learner has something to learn.

Shape suffixes: N pictures of the gallery, B of a batch, C joint width, K claims, W words for looks.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from zsad.common.progress import progress
from zsad_synthetic.pretraining import losses, model, tokens
from zsad_synthetic.pretraining.stream import OPEN, Album, StreamConfig
from zsad_synthetic.pretraining.world import FAMILIES, KINDS, looks
from zsad_synthetic.pretraining.world.fields import Rng
from zsad_synthetic.pretraining.world.remarks import Remark, remark

Prepare = Callable[[NDArray[np.uint8]], Tensor]

_TEXT = 3
_STEEPNESS = 2.5
"""Of the logistic curve from murkiness, in standard deviations, to what a picture is called."""


@dataclass(frozen=True)
class TextConfig:
    """Everything that decides the text tower, given the image tower."""

    pages: int = 120
    """Of 64 pictures each."""
    steps: int = 1000
    batch: int = 128
    lr: float = 0.002
    warmup: int = 50
    hearsay: float = 0.63
    """Share of state words that follow the look of a picture; the others are true."""


class Gallery(NamedTuple):
    """What the text stage needs to know of its pictures."""

    classes: Tensor
    """[2, N, C] both forms of the class token, normalised."""
    views: list[tuple[str, str | None]]
    """Kind, and family of the defect if there is one."""
    looks: NDArray[np.bool_]
    """[N, W] which words fit."""
    murkiness: NDArray[np.floating]
    """[N]."""


class Said(NamedTuple):
    """A caption of a picture, and whether those who wrote it call the picture anomalous."""

    remark: Remark
    called_anomalous: bool


@torch.no_grad()
def gallery(network: open_clip.CLIP, prepare: Prepare, stream: StreamConfig, seed: int, pages: int) -> Gallery:
    """Render `pages` of new pictures and encode them; `prepare` makes the tower's input of their bytes."""
    album = DataLoader(
        Album(stream, seed), None, collate_fn=list, num_workers=1, prefetch_factor=8, multiprocessing_context="spawn"
    )
    classes, views, measures = [], [], []
    for page in progress(islice(album, pages), pages, "gallery"):
        with torch.autocast("cpu", torch.bfloat16):
            image = model.encode_image(network, prepare(np.stack([view.picture for view in page])))
        classes.append(F.normalize(torch.stack([image.cls, image.raw_cls]).float(), dim=-1))
        views += [(view.kind, view.family) for view in page]
        measures += [looks.measure(view.picture) for view in page]
    look = looks.Look(*map(np.array, zip(*measures, strict=True)))
    return Gallery(torch.cat(classes, 1), views, looks.true_words(look), looks.murkiness(look))


def train(network: open_clip.CLIP, pictures: Gallery, config: TextConfig, seed: int) -> Iterator[float]:
    """Teach the text tower of `network`; yields the loss of every step."""
    trained = [p for name, p in network.named_parameters() if not name.startswith("visual.")]
    optimizer = torch.optim.AdamW(trained, lr=config.lr, betas=(0.9, 0.98), weight_decay=0.0)
    for step in range(config.steps):
        descent = max(0.02, 1 - step / config.steps)
        optimizer.param_groups[0]["lr"] = config.lr * min((step + 1) / config.warmup, 1.0) * descent
        rng = np.random.default_rng((seed, _TEXT, step))
        chosen = rng.choice(len(pictures.views), config.batch, replace=False)
        loss = _loss(network, pictures, chosen, _remarks(rng, pictures, chosen, config.hearsay))
        if not loss.isfinite():
            raise FloatingPointError(f"the loss of step {step + 1} of the text stage is {loss.item()}")
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        network.logit_scale.data.clamp_(0, math.log(100))
        yield loss.item()


def _remarks(rng: Rng, pictures: Gallery, chosen: NDArray[np.int64], hearsay: float) -> list[Said]:
    """A caption for each of the chosen pictures, and what the picture is called there."""
    murky = 1 / (1 + np.exp(-_STEEPNESS * pictures.murkiness[chosen]))
    anomalous = np.array([pictures.views[i][1] is not None for i in chosen])
    called = rng.random(len(chosen)) < (1 - hearsay) * anomalous + hearsay * murky
    said = []
    for i, so_called in zip(chosen, called.tolist(), strict=True):
        kind, family = pictures.views[i]
        fitting = [word for word, fits in zip(looks.WORDS, pictures.looks[i], strict=True) if fits]
        said.append(Said(remark(rng, kind, family, so_called, fitting), so_called))
    return said


def _loss(network: open_clip.CLIP, pictures: Gallery, chosen: NDArray[np.int64], said: list[Said]) -> Tensor:
    """CLIP's loss; a caption is true of all pictures that are called so and show and look what it names."""
    encoded = tokens.encode([remark.text for remark, _ in said])
    with torch.autocast("cpu", torch.bfloat16):
        texts_BC = model.encode_text(network, *(torch.as_tensor(part) for part in encoded))
    shown_BK = torch.tensor([_claims(called, *pictures.views[i]) for i, (_, called) in zip(chosen, said, strict=True)])
    told_BK = torch.tensor([_claims(r.anomalous, r.kind, r.family) for r, _ in said])
    fits_BW = torch.from_numpy(np.column_stack([pictures.looks[chosen], np.ones(len(chosen), bool)]))
    named = [OPEN if r.look is None else looks.WORDS.index(r.look) for r, _ in said]
    positive_BB = losses.positives(shown_BK, told_BK) & fits_BW[:, named]
    logits_2BB = network.logit_scale.exp() * pictures.classes[:, chosen] @ F.normalize(texts_BC.float(), dim=-1).T
    return losses.contrastive(logits_2BB, positive_BB)


def _claims(anomalous: bool | None, kind: str | None, family: str | None) -> tuple[int, int, int]:
    return (
        OPEN if anomalous is None else int(anomalous),
        OPEN if kind is None else KINDS.index(kind),
        OPEN if family is None else FAMILIES.index(family),
    )
