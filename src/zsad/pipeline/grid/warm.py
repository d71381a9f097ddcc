"""Imported once, by the process that workers are forked from: what stages spend their first seconds on.

It must neither compute nor start a thread: a fork copies only the thread that forks. What is imported is kept from the
garbage collector, which would look through a million objects in every worker, and so copy the pages that they are on.
"""

# ruff: noqa: E402, F401
import gc

gc.disable()

from importlib import import_module

import cv2
import open_clip
import torch

import zsad.evaluation.aggregate
import zsad.evaluation.score
import zsad.inference.batches
import zsad.pipeline.backbones
import zsad.pipeline.stage_code
import zsad.tracking.register
import zsad.training.adapt
import zsad.training.train
from zsad.learners.lookup import learner_class, methods

for method in methods():
    learner_class(method)
for store in ("tracking", "model_registry"):  # MLflow loads them with their first use: 1 s of each training
    import_module(f"mlflow.store.{store}.sqlalchemy_store")

gc.freeze()
gc.enable()
