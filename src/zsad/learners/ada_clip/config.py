"""Settings of AdaCLIP."""

from pydantic import Field

from zsad.learners.shared.mosaic import MosaicConfig


class Config(MosaicConfig):
    """Official settings for any source but MVTec AD, where a fifth of the pictures are mosaics. None = derived."""

    epochs: int = Field(default=5, ge=0)
    """Passes over the auxiliary source; the last one counts."""
    train_batch_size: int = Field(default=1, ge=1)
    """Pictures in an optimiser step; the official code takes one only."""
    lr: float = Field(default=0.01, gt=0)
    """Learning rate of Adam, constant."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Share of each parameter that a step takes away, times the learning rate (AdamW)."""
    prompt_length: int = Field(default=5, ge=1, le=5)
    """Learned tokens of a prompted block."""
    depth: int = Field(default=4, ge=2)
    """First blocks that are prompted, in both towers; the text tower's first one is not."""
    prompt_fp16: bool = False
    """Round prompts through half precision on insertion, as officially; a score then feels its batch by 2e-6."""
    layers: tuple[int, ...] | None = Field(default=None, min_length=1, strict=False)
    """Image blocks (from 1) whose patches are read. null = 6, 12, 18, 24 of 24, scaled."""
    clusters: int = Field(default=20, ge=0)
    """Clusters of the most anomalous patches in the image feature; five patches for each. 0 = no fusion."""
    fusion: float = Field(default=0.2, ge=0, le=1)
    """Share of the clusters' mean in the image feature."""
    temperature: float = Field(default=0.01, gt=0)
    """Temperature of the softmax over the two prompts, for picture and patches."""
    dice_by_row: bool = True
    """Dice of each row of pixels, as the official code computes it for its batch of one; otherwise of the whole map."""
    map_scale: int | None = Field(default=None, ge=1)
    """Side of the map in multiples of the patch grid. null = full resolution."""
