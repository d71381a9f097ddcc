"""How fast a machine computes: told by its user, or measured by one pass of the image tower and a few small steps."""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.clip.backbone import FeatureSpec, encode_images, untrained_clip
from zsad.clip.device import choose_device
from zsad.clip.weights import model_config
from zsad.common.timing import Work, in_turn
from zsad.config.params import Params
from zsad.pipeline.bench.counting import operations
from zsad.pipeline.cost.tracing import META, traced

CALL = 1e-5  # seconds in which PyTorch starts an operation on a GPU, a small one being done by then
ROUNDS = 3


@dataclass(frozen=True)
class Pace:
    """flop: operations a second; call: seconds that each costs beside them, however small; told: where that is from."""

    flop: float
    call: float
    told: str

    def seconds(self, flop: int, calls: int) -> float:
        """Of this much work, one operation after the other."""
        return flop / self.flop + calls * self.call


def given(tflops: float) -> Pace:
    """A machine that does this many operations a second, in 10¹²."""
    return Pace(tflops * 1e12, CALL, f"at {tflops:g} TFLOP/s and {CALL * 1e6:g} µs an operation, as told")


def measured(params: Params, backbone: str) -> Pace:
    """This machine, on the device and in the precision of params.yaml, with a tower of random weights."""
    device = choose_device(params.device)
    one = params.backbone(backbone)
    clip = untrained_clip(model_config(one), one.name, one.image_size, "quickgelu", "bilinear", device)
    count = params.batch_size if device.type == "cuda" else 1
    images = np.random.default_rng(0).standard_normal((count, 3, one.image_size, one.image_size), dtype=np.float32)

    def tower() -> None:
        encode_images(clip, images, FeatureSpec(cls=True), params.precision)

    done = operations(tower)
    works = {"tower": tower, "small": _small(device)}
    times = in_turn(works, ROUNDS, partial(_settled, device), _processor if device.type == "cpu" else time.perf_counter)
    pace, call = done / times["tower"].median, times["small"].median / traced(_small(META)).calls
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads of a CPU"
    return Pace(
        pace, call, f"at {pace / 1e12:.3g} TFLOP/s and {call * 1e6:.0f} µs an operation, measured here: {where}"
    )


def _small(device: torch.device) -> Work:
    """Steps as of a learner's own small layers: nearly all of their time is PyTorch's."""
    width = 16
    matrix = torch.ones(width, width, device=device, requires_grad=True)

    def work() -> None:
        x: Tensor = torch.ones(1, width, device=device)
        for _ in range(100):
            x = x + F.gelu(F.linear(F.layer_norm(x, (width,)), matrix))
        matrix.grad = None
        x.sum().backward()

    return work


def _processor() -> float:
    """Seconds of each thread: others on this machine do not count."""
    return time.process_time() / torch.get_num_threads()


def _settled(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
