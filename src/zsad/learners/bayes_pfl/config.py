"""Settings of Bayes-PFL."""

from pydantic import Field

from zsad.learners.base import LearnerConfig


class Config(LearnerConfig):
    """Official settings. None = derived from the backbone; `top_k` counts pixels at 518 px and scales with the map."""

    epochs: int = Field(default=20, ge=0)
    """Passes of stage 1: prompts, flows, cross-attention."""
    classifier_epochs: int = Field(default=10, ge=0)
    """Passes of stage 2: the image head alone. 0 = no image head, as an ablation."""
    train_batch_size: int = Field(default=32, ge=1)
    """Pictures in an optimiser step; the last, partial batch of an epoch is kept."""
    lr: float = Field(default=0.001, gt=0)
    """Peak learning rate of the prompts."""
    lr_flow: float = Field(default=0.001, gt=0)
    """Peak learning rate of the flows."""
    lr_linear: float = Field(default=0.0001, gt=0)
    """Peak learning rate of encoders, cross-attention and class mapping; constant rate of the image head in stage 2."""
    lr_temperature: float = Field(default=0.01, gt=0)
    """Peak learning rate of both temperatures."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps of both stages with a linear warm-up; half a cosine follows, which stage 1 leaves midway."""
    kl_weight: float = Field(default=0.01, ge=0)
    """Weight of the three KL terms."""
    state_logdet_over_batch: bool = True
    """Divide the log-determinant of the image-agnostic flows by the batch size, as the official code does."""
    bank: int = Field(default=3, ge=1)
    """B, triples of context, normal and abnormal prompt; a training step draws one."""
    context_length: int = Field(default=5, ge=1, le=30)
    """Learned tokens of the context."""
    state_length: int = Field(default=5, ge=1, le=30)
    """Learned tokens of each state."""
    flows: int = Field(default=10, ge=1)
    """Planar flows between base distribution and posterior."""
    samples: int = Field(default=10, ge=1)
    """R, Monte-Carlo samples of each distribution at test time."""
    layers: tuple[int, ...] | None = Field(default=None, min_length=1, strict=False)
    """Image blocks (from 1) whose patches are read. null = 6, 12, 18, 24 of 24, scaled."""
    augmented_views: int = Field(default=4, ge=0)
    """Random views of each source picture, encoded once; an epoch draws one. 0 = no augmentation."""
    mosaic: float = Field(default=0.0, ge=0, le=1)
    """Share of views that join four pictures of a category."""
    sigma: float = Field(default=8.0, ge=0)
    """Standard deviation of the map's Gaussian filter, in pixels at 518 px; scales with the image side. 0 = none."""
    top_k: int = Field(default=2000, ge=1)
    """Pixels at 518 px whose mean enters the image score; scales with the map."""
    top_weight: float = Field(default=0.5, ge=0, le=1)
    """Weight of that mean in the image score; the image head has the rest."""
    map_scale: int | None = Field(default=None, ge=1)
    """Side of the map in multiples of the patch grid. null = full resolution."""
