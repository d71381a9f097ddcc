"""What a CUDA machine does with the demo and with ViT-L/14@336 at 518 px, whose weights are random here.

`make gpu` runs it after the comparison with the CPU. `demo`: the pipeline in a clone of what is committed, with its
metrics against the committed ones by the gate. `timings`: `zsad bench` in fp32 and bf16, tables and reports/gpu.json.
With `--device cpu --name ViT-B-16 --side 64 --batch 1` the timings run anywhere.
"""

import argparse
import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import open_clip
import torch
import yaml

from tests.conftest import shipped, write_backbone
from tests.helpers import ROOT
from zsad.clip.device import choose_device
from zsad.common.io import write_json
from zsad.config.params import Params, load_params
from zsad.learners.lookup import learner_class, methods
from zsad.pipeline.bench.measure import bench

REPORT = ROOT / "reports/gpu.json"
BRIEFLY = {"apt": {"epochs": 1, "synthetic": 1, "held_out": 1}, "promptad": {"epochs": 1}}  # adapting is not timed


def demo(device: str) -> None:
    """`zsad repro` and `zsad gate` on the device, from the committed state; CalledProcessError where one fails."""
    environment = {**os.environ, "PYTHONPATH": "src", "DVC_NO_ANALYTICS": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with TemporaryDirectory() as directory:
        clone = Path(directory) / "zsad"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        for command in (
            ("zsad", "profile", "apply", "params.yaml", f"device={device}"),
            ("zsad", "repro"),
            ("zsad", "gate", "--against", "HEAD"),
        ):
            subprocess.run(command, cwd=clone, env=environment, check=True)


def timings(
    config: Mapping[str, Any], device: str, side: int, batches: Sequence[int], rounds: int, names: Sequence[str]
) -> dict[str, Any]:
    """Rows of `zsad bench` by precision, over these methods with an architecture's random weights; tables are printed.

    config: of open_clip; side: of the pictures, in pixels.
    """
    choose_device(device)  # a UserError at once where there is no GPU
    found = {}
    with TemporaryDirectory() as directory, chdir(directory):
        write_backbone(Path("data/weights/default"), config, seed=0, family="openai", activation="quickgelu")
        for precision in ("fp32", "bf16"):
            told = bench(_params(device, side, precision, names), (), batches, rounds)
            found[precision] = {**told.as_dict(), "peak_mib": _peak()}
            print(told.markdown, flush=True)
    return found


def _params(device: str, side: int, precision: str, names: Sequence[str]) -> Params:
    raw = yaml.safe_load(shipped("params.yaml"))
    few = [method for method in names if learner_class(method).few_shot]
    raw["backbones"] = {"default": {"name": "random", "pretrained": "random", "image_size": side}}
    raw["learners"] = {method: {} for method in names if method not in few}
    raw["few_shot"] = {f"{one}_1shot": {"method": one, "shots": 1, **BRIEFLY.get(one, {})} for one in few}
    Path("params.yaml").write_text(yaml.safe_dump({**raw, "device": device, "precision": precision}), encoding="utf-8")
    return load_params()


def _peak() -> float | None:
    """MiB that torch held on the GPU at once since the start."""
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["demo", "timings"])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--name", default="ViT-L-14-336", help="architecture of open_clip (%(default)s)")
    parser.add_argument("--side", type=int, default=518, help="of a picture, in pixels (%(default)s)")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    if given.what == "demo":
        demo(given.device)
        return
    config = open_clip.get_model_config(given.name)
    found = timings(config, given.device, given.side, given.batch, given.rounds, methods())
    REPORT.parent.mkdir(exist_ok=True)
    write_json(REPORT, found)


if __name__ == "__main__":
    main()
