"""Settings of AA-CLIP."""

from typing import Literal

from pydantic import Field

from zsad.learners.base import LearnerConfig


class Config(LearnerConfig):
    """Official settings. None = derived from the backbone."""

    text_epochs: int = Field(default=5, ge=0)
    """Passes of stage 1: the text tower's adapters. 0 = they stay as initialised."""
    text_batch_size: int = Field(default=16, ge=1)
    """Pictures in an optimiser step of stage 1."""
    text_lr: float = Field(default=0.00001, gt=0)
    """Learning rate of stage 1, constant."""
    epochs: int = Field(default=20, ge=0)
    """Passes of stage 2: the image tower's adapters and projections; the last one counts."""
    train_batch_size: int = Field(default=2, ge=1)
    """Pictures in an optimiser step of stage 2; the last, partial batch of an epoch is kept."""
    lr: float = Field(default=0.0005, gt=0)
    """Learning rate of stage 2 before the first milestone."""
    milestones: tuple[int, ...] = Field(default=(16000, 32000), strict=False)
    """Optimiser steps of stage 2 from each of which on its rate is halved."""
    text_adapters: int | None = Field(default=None, ge=0)
    """First text blocks that have an adapter. null = 3 of 12, scaled."""
    image_adapters: int | None = Field(default=None, ge=0)
    """First image blocks that have an adapter. null = 6 of 24, scaled."""
    text_share: float = Field(default=0.1, ge=0, le=1)
    """Share of the adapter in what a text block gives on."""
    image_share: float = Field(default=0.1, ge=0, le=1)
    """Share of the adapter in what an image block gives on."""
    relu: bool = False
    """A leaky ReLU after the projections of the image tower, too."""
    layers: tuple[int, ...] | None = Field(default=None, min_length=1, strict=False)
    """Image blocks (from 1) whose patches are read. null = 6, 12, 18, 24 of 24, scaled."""
    vv_start: int | None = Field(default=None, ge=0)
    """First image block (from 0) with V-V attention, in stage 1 only. null = 5 of 24, scaled."""
    vv_over: Literal["pictures", "patches"] = "pictures"
    """What V-V attention runs over: the batch's pictures at one place, as officially, or each picture's patches."""
    orthogonal_weight: float = Field(default=0.1, ge=0)
    """Weight of the squared cosine between the two prototypes in stage 1."""
    temperature: float = Field(default=0.01, gt=0)
    """Temperature of the softmax over the two prototypes in segmentation losses, and of the map."""
    blur: float = Field(default=1.0, ge=0)
    """Standard deviation of the Gaussian filter of the patch grid, in patches. 0 = none."""
    sigma: float = Field(default=0.0, ge=0)
    """Standard deviation of the map's Gaussian filter, in pixels at 518 px; scales with the image side. 0 = none."""
    augmented_views: int = Field(default=4, ge=0)
    """Random views of each source picture, encoded once; an epoch draws one. 0 = no augmentation."""
