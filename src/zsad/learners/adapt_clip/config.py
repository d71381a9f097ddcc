"""Settings of AdaptCLIP. Defaults are those of the official scripts."""

from pydantic import Field

from zsad.learners.base import LearnerConfig


class Config(LearnerConfig):
    """One Adam over all three adapters, whose losses share no parameter."""

    train_batch_size: int = Field(default=8, ge=2)
    """Pictures in an optimiser step; the last, partial batch of an epoch is kept. Batch norm wants two at least."""
    context_length: int = Field(default=12, ge=1, le=60)
    """Learned tokens of each prompt of the textual adapter."""
    reduction: int = Field(default=4, ge=1)
    """Width of CLIP's joint space over that inside the visual adapter."""
    hidden: int = Field(default=128, ge=2)
    """Channels inside the comparing adapter, after its first layer."""
    context: bool = True
    """Compare the picture's patch plus the difference to its nearest normal one; false = the difference alone."""
    top_patches: int = Field(default=10, ge=1)
    """Largest values of a channel, over patches, that the comparing adapter averages for the whole picture."""
    references: int = Field(default=32, ge=1)
    """Normal training pictures of each source category that are encoded; every training picture draws one of them."""
    layers: tuple[int, ...] | None = Field(default=None, min_length=1, strict=False)
    """Image blocks (from 1) whose V-V stream is compared. null = 6, 12, 18, 24 of 24, scaled."""
    vv_start: int | None = Field(default=None, ge=0)
    """First image block (from 0) whose V-V attention enters the patch stream. null = 5 of 24, scaled."""
    temperature: float = Field(default=0.07, gt=0)
    """Temperature of the softmax over the two prompts, for picture and patches."""
    map_scale: int | None = Field(default=None, ge=1)
    """Few-shot form: side of the map in multiples of the patch grid. null = full resolution."""
