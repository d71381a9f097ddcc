"""A learner and its frozen image tower as one graph: pixels in, scores and map log-odds out, for any batch size.

What reads no picture (`learners.shared.fixed`) is computed once and stands in the graph as numbers: where all prompts
are fixed, the text tower is no part of it. Shapes: B pictures, S image side in pixels, h × w map.
"""

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from zsad.clip.inputs import MEAN, STD
from zsad.common.errors import UserError
from zsad.learners.base import Learner

EXAMPLES = 3  # pictures that the graph is traced with; 1 would be taken for a constant
LARGEST_BATCH = 4096


class Graph(nn.Module):
    """pixels [B, S, S, 3] uint8 RGB → score [B] in [0, 1], map_logits [B, h, w]. CLIP's mean and std are inside."""

    clip_mean: Tensor
    clip_std: Tensor

    def __init__(self, learner: Learner, name: str) -> None:
        super().__init__()
        self.learner, self.name = learner, name
        self.register_buffer("clip_mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("clip_std", torch.tensor(STD)[:, None, None])

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        images = (pixels.permute(0, 3, 1, 2).float() / 255 - self.clip_mean) / self.clip_std
        features = self.learner.clip.image.encode(images, self.learner.spec)
        scored = self.learner.score(features, [self.name])  # one class name for the whole batch
        return scored.score, scored.map_logits


def check_exportable(learner: Learner, method: str) -> None:
    """UserError with the reason when the learner is no graph."""
    if learner.not_exportable:
        raise UserError(f"{method} cannot be exported: {learner.not_exportable}")


def trace(learner: Learner, name: str) -> ExportedProgram:
    """The graph of a learner under `strict`, on the CPU, with prompts for class `name`; UserError if it is none."""
    graph, side = Graph(learner.settle(), name), learner.clip.image_size
    example = torch.arange(EXAMPLES * side * side * 3).remainder(251).to(torch.uint8).view(EXAMPLES, side, side, 3)
    shapes = {"pixels": {0: Dim("batch", min=1, max=LARGEST_BATCH)}}
    try:
        with torch.no_grad():
            graph(example)  # what is fixed is known from here on
            program = torch.export.export(graph, (example,), dynamic_shapes=shapes, strict=False)
    except (RuntimeError, torch._dynamo.exc.UserError) as error:
        first = str(error).partition("\n")[0]
        raise UserError(f"{type(learner).__name__}: `score` is no graph for a batch of any size ({first})") from error
    for node in program.graph.nodes:  # in whose folders each line of Python stood
        for told in ("stack_trace", "nn_module_stack", "source_fn_stack"):
            node.meta.pop(told, None)
    return program


def reads_name(learner: Learner, name: str) -> bool:
    """Whether the class name is in the learner's prompts: does another name give a picture another score or map."""
    side = learner.clip.image_size
    pixels = torch.arange(side * side * 3).remainder(251).to(torch.uint8).view(1, side, side, 3)
    with torch.no_grad():
        own, other = (Graph(learner, each)(pixels) for each in (name, "x" if name != "x" else "y"))
    return not all(map(torch.equal, own, other))
