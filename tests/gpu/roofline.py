"""What a GPU should do with each method at ViT-L/14 and 518 px, from counted work: the table of docs/gpu.md.

`python -m tests.gpu.roofline`; a minute, no weights, no GPU. Two bounds, of which the longer one is taken: the GPU's
own work, arithmetic and then memory, and the time in which PyTorch can start the operations.
"""

from dataclasses import dataclass

from tabulate import tabulate

from zsad.config.configuration import Configuration
from zsad.config.schema import BackboneParams
from zsad.learners.lookup import learner_class, methods
from zsad.pipeline.cost.pace import CALL
from zsad.pipeline.cost.subject import Subject

BACKBONE = BackboneParams(name="ViT-L-14-336", pretrained="openai", image_size=518)
BATCH = 32


@dataclass(frozen=True)
class Gpu:
    """Peak operations a second in bf16 and in fp32 without TF32, and bytes a second; share: what a program gets."""

    bf16: float
    fp32: float
    memory: float
    share_arithmetic: float
    share_memory: float


H100 = Gpu(bf16=989e12, fp32=67e12, memory=3.35e12, share_arithmetic=0.5, share_memory=0.7)


def row(method: str, gpu: Gpu) -> dict[str, object]:
    """A line of the table: a batch through the tower in bf16, and scored in fp32, but where that runs image blocks."""
    kind = learner_class(method)
    settings = {"map_scale": 4} if "map_scale" in kind.Config.model_fields else {}  # as profiles/real.yaml
    one = Configuration(method, method, "strict", "default", BACKBONE, settings, shots=int(kind.few_shot))
    subject = Subject(one, settings, BATCH)
    tower, scoring = subject.encoding, subject.scoring[1]
    fp32, fp32_bytes = (0, 0) if subject.learner.spec.entry is not None else (scoring.flop, scoring.moved)
    flop, moved = tower.flop + scoring.flop, (tower.moved + scoring.moved + fp32_bytes) / 2
    arithmetic = ((flop - fp32) / gpu.bf16 + fp32 / gpu.fp32) / gpu.share_arithmetic
    memory = moved / gpu.memory / gpu.share_memory
    starting = (tower.calls + scoring.calls) * CALL
    seconds = max(arithmetic + memory, starting)
    limits = {"arithmetic": arithmetic, "memory": memory, "starting": starting}
    return {
        "method": method,
        "TFLOP a picture": f"{flop / BATCH / 1e12:.2f}",
        "of it in fp32": f"{fp32 / flop:.0%}",
        "GB a picture": f"{moved / BATCH / 1e9:.1f}",
        "operations a batch": tower.calls + scoring.calls,
        "arithmetic, memory, starting, ms a batch": ", ".join(f"{1000 * value:.0f}" for value in limits.values()),
        "pictures a second": f"{BATCH / seconds:.0f}",
        "limit": max(limits, key=lambda name: limits[name]),
    }


if __name__ == "__main__":
    print(tabulate([row(method, H100) for method in methods()], headers="keys", tablefmt="github"))
