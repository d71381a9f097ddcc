"""Which outputs of the image tower's blocks a method reads."""

from zsad.clip.backbone import Clip
from zsad.common.errors import UserError
from zsad.learners.base import scaled

PAPER_BLOCKS = (6, 12, 18, 24)  # of the 24 of ViT-L, counted from 1


def blocks_read(layers: tuple[int, ...] | None, clip: Clip) -> tuple[int, ...]:
    """The setting `layers`, checked; null: the papers' blocks at the same relative depth of this backbone."""
    blocks = len(clip.image.blocks)
    if layers is None:
        return tuple(sorted({max(1, scaled(layer, PAPER_BLOCKS[-1], blocks)) for layer in PAPER_BLOCKS}))
    if any(not 1 <= layer <= blocks for layer in layers):
        raise UserError(f"layers {list(layers)}: the image tower has blocks 1 to {blocks}")
    return layers
