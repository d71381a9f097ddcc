"""Settings of APT (reconstruction)."""

from typing import Literal

from pydantic import Field

from zsad.config.schema import Block


class Config(Block):
    """Every reconstructed choice is one of these. None = derived from the backbone."""

    epochs: int = Field(default=100, ge=0)
    """Passes over the synthetic pictures; the last one counts. 0 = the first meta-prompt alone, as a baseline."""
    round_epochs: int = Field(default=10, ge=1)
    """Epochs in a round; the meta-prompt moves between rounds."""
    synthetic: int = Field(default=64, ge=1)
    """Synthetic pictures made of each support picture."""
    synthetic_batch: int = Field(default=8, ge=1)
    """Synthetic pictures in an optimiser step, times the number of shots; all clean pictures are in every step."""
    lr: float = Field(default=0.002, gt=0)
    """Learning rate of SGD at the start; half a cosine leads to `lr_min`."""
    lr_min: float = Field(default=0.00001, ge=0)
    """Learning rate at the end."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of SGD."""
    weight_decay: float = Field(default=0.0005, ge=0)
    """Weight decay of SGD."""
    context_length: int = Field(default=16, ge=1, le=60)
    """M, learned tokens of each prompt, before the words."""
    bank: int = Field(default=1, ge=1)
    """Prompts of each state; their features are averaged."""
    class_token: Literal["object", "class_name", "none"] = "object"
    """Word behind the learned tokens: `object`, the category's name, or nothing."""
    init: Literal["random", "meta"] = "random"
    """Learned tokens at the start: N(0, 0.02), or with the words of the meta-prompt in the last places."""
    meta: Literal["dynamic", "static"] = "dynamic"
    """Whether the meta-prompt follows the learned prompts between rounds."""
    meta_step: float = Field(default=0.1, ge=0, le=1)
    """η, share of the learned prompts in the meta-prompt's move."""
    meta_cosine: float = Field(default=0.8, ge=-1, le=1)
    """Least cosine between a state of the meta-prompt and the same state of the first meta-prompt."""
    meta_drop: float = Field(default=0.005, ge=0, le=1)
    """A move that loses more pixel AP than this on the held-out families is not made."""
    held_out: int = Field(default=16, ge=1)
    """Pictures of the held-out families made of each support picture."""
    guide: Literal["project", "kl", "none"] = "project"
    """The meta-prompt corrects the gradient where both conflict, enters the loss, or is not used."""
    guide_weight: float = Field(default=1.0, ge=0)
    """λ, strength of the guidance."""
    noise_space: Literal["pixel", "feature"] = "pixel"
    """Where training anomalies are made: in the picture, or on the patch features of the clean picture."""
    feature_noise: float = Field(default=0.015, ge=0)
    """Standard deviation of each component of a unit feature's noise, with `noise_space: feature`."""
    pool_refresh: bool = False
    """Make new synthetic pictures in every round."""
    object_mask: bool = True
    """Anomalies on the object only; without, anywhere."""
    object_gap: float = Field(default=0.1, ge=0, le=1)
    """Least difference in mean object probability between object and rest; below it, the picture is a texture."""
    local: Literal["window", "vanilla", "vv"] = "vv"
    """Patch features: V-V attention, attention to near patches only, or the last layer as it is."""
    local_start: int | None = Field(default=None, ge=0)
    """First image block (from 0) of the window or V-V stream. null = the second half of the blocks."""
    local_radius: int | None = Field(default=1, ge=0)
    """Rows and columns that a patch sees to each side in the window stream. null = all."""
    memory: bool = False
    """Fuse the map with the distance to the support's own patches: to be reported as APT+mem."""
    memory_layers: tuple[int, ...] | None = Field(default=None, min_length=1, strict=False)
    """Image blocks (from 1) whose patches are remembered. null = 3 and 8 of 12, scaled."""
    loss_scale: int | None = Field(default=None, ge=1)
    """Side of the maps in the loss, in multiples of the patch grid; masks are averaged. null = full resolution."""
    map_scale: int | None = Field(default=None, ge=1)
    """Side of the stored map in multiples of the patch grid. null = full resolution."""
    sigma: float = Field(default=8.6, ge=0)
    """Standard deviation of the map's Gaussian filter, in pixels at 518 px (4 at 240); scales with the image side."""
