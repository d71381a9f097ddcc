"""How far a result may be from its golden value: as far as float32 rounds on any processor, and no further.

The unit of error is EPS times the golden tensor's largest entry: matrix products round in proportion to the size of
what they add up, not of the single sum. Tolerances are four times the largest error measured over instruction sets,
threads, libraries' code paths and emulated processors (README.md), and each says why it is not nearer to 1 unit.
With PARITY_ERRORS=file in the environment every comparison appends [kind, what, error in units] to that file.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

EPS = 2.0**-23  # float32: distance from 1 to the next number
VALUE_ROUNDING = 4  # units of a parameter's own size that storing it rounds off in three steps


@dataclass(frozen=True)
class Tolerance:
    """Allowed error of one kind of quantity, in units."""

    kind: str
    units: float


EXACT = Tolerance("exact", 0)
# Four blocks: each adds about a unit, sums of 128 products and norms among them. Measured 7.2.
FEATURE = Tolerance("feature", 32)
# The same, and unit length makes the largest entry a quarter of the vector. Measured 8.0.
TEXT = Tolerance("text", 32)
# Tokens that ten planar flows made go through the tower: entries up to 10 where others have 1. Measured 26.8.
SAMPLED_TEXT = Tolerance("sampled text", 128)
# Σ log|1 + (1 − tanh²) wᵀu|: the argument comes near 0, and log turns absolute error into relative. Measured 353.
LOG_DET = Tolerance("log det", 1500)
# A sigmoid of differences of cosines over a temperature of 0.01 to 0.07; CoPS stretches them besides. Measured 34.8.
MAP = Tolerance("map", 140)
# The same. Measured 19.5; 80 units are 9.5e-6.
SCORE = Tolerance("score", 80)
# Maps as stored, in steps of 7.3e-4 of log-odds, a category's range stretched to [0, 1]; no float32. Measured 371.
STORED_SCORE = Tolerance("score of stored maps", 1500)
# Means of logs of probabilities; PromptAD's triplet loss is a difference of close cosines. Measured 24.7.
LOSS = Tolerance("loss", 100)
# Products of as many factors as forward and back have layers. Measured 37.5.
GRADIENT = Tolerance("gradient", 150)
# Batch norm over four pictures takes means away: what is left of a gradient is a difference. Measured 158.
NORM_GRADIENT = Tolerance("gradient through batch norm", 640)
# Prompts that depend on the picture, rounded through half precision: where an error of rounding crosses a border of
# it, it comes out as one step of half precision, 8,192 units of one entry of 640. Measured 159, of maps and scores 87.
HALF_TEXT = Tolerance("text in half precision", 640)
HALF_MAP = Tolerance("map in half precision", 360)
# The gradient of log|det| is 1/det. Measured 284.
FLOW_GRADIENT = Tolerance("gradient through flows", 1200)
# Deep tokens: the official codes round the gradient of each sequence to half precision (8,192 units) before they add
# them up, ours rounds their sum. Measured 11,901 on every processor: not float32's doing, so there is no margin of 4.
HALF_GRADIENT = Tolerance("gradient in half precision", 16_384)
# After Adam's first step: where a gradient is rounding noise, so is the sign of the step. Measured 52.4.
LATER_LOSS = Tolerance("later loss", 256)
# From here on Bayes-PFL's errors have gone through three steps and the flows: losses 922, gradients 4,984 measured.
LATER_FLOW_LOSS = Tolerance("later loss through flows", 4096)
LATER_FLOW_GRADIENT = Tolerance("later gradient through flows", 20_000)
# Of updates see check_update: the gradients' errors at three steps, which grow. Measured 104, through flows 2,028, of
# deep tokens 1,741.
UPDATE = Tolerance("update", 512)
FLOW_UPDATE = Tolerance("update through flows", 8192)
HALF_UPDATE = Tolerance("update in half precision", 8192)
# AdaptCLIP's comparing adapter: four shifts whose gradient is rounding noise move by a whole step in either direction,
# and what a zero-padded convolution makes of them at the border changes all later gradients. Measured 4,291.
SHIFTED_UPDATE = Tolerance("update beside shifts", 17_000)


def check(what: str, got: Any, wanted: Any, tolerance: Tolerance, beside: Any = None) -> None:
    """AssertionError where the largest error is above the tolerance.

    beside: a golden tensor whose size counts in place of `wanted`'s, where that one is a sum of terms that cancel.
    """
    got, wanted = _array(got), _array(wanted)
    assert got.shape == wanted.shape, f"{what}: shape {got.shape}, golden {wanted.shape}"
    size = wanted if beside is None else _array(beside)
    _judge(what, abs(got - wanted).max(), abs(size).max(), tolerance)


def check_update(what: str, got: Any, wanted: Any, gradient: Any, rate: float, tolerance: Tolerance) -> None:
    """Values after Adam's steps, as far as the gradients determine them.

    Adam divides by the gradient's size: an error δ of a gradient g moves the step by rate·δ/|g|, so an entry whose
    gradient is rounding noise may step either way. Differences are therefore counted in `rate` (Σ of learning rates)
    and weighed by |g|, the golden first gradient; what is left is δ, in units of the largest |g|.
    """
    got, wanted, weight = _array(got), _array(wanted), abs(_array(gradient))
    assert got.shape == wanted.shape == weight.shape, f"{what}: shapes {got.shape}, {wanted.shape}, {weight.shape}"
    difference = (abs(got - wanted) - VALUE_ROUNDING * EPS * abs(wanted)).clip(0) / rate
    _judge(what, (difference * weight).max(), weight.max(), tolerance)


def _judge(what: str, error: float, size: float, tolerance: Tolerance) -> None:
    units = float(error / (EPS * size)) if error else 0.0
    if path := os.environ.get("PARITY_ERRORS"):
        with Path(path).open("a", encoding="utf-8") as out:
            print(json.dumps([tolerance.kind, what, round(units, 2)]), file=out)
    # written so that NaN fails
    assert units <= tolerance.units, f"{what}: {units:.5g} units off; {tolerance.kind} allows {tolerance.units:g}"


def _array(values: Any) -> np.ndarray:
    plain = values.detach() if isinstance(values, Tensor) else values
    return np.asarray(plain, dtype=np.float64)
