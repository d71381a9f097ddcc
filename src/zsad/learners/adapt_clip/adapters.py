"""The adapters of AdaptCLIP: what is learned. Part of the method in `__init__`; names are the official state dict's.

Shapes: B images, N = g² patches, D joint width, H hidden channels.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TextualAdapter(nn.Module):
    """Two prompts `[context] .` without words, [1, 1, length, text width] each."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.ctx_pos = nn.Parameter(0.02 * torch.randn(1, 1, length, width))
        self.ctx_neg = nn.Parameter(0.02 * torch.randn(1, 1, length, width))

    def forward(self, words_TC: Tensor) -> Tensor:
        """Embeddings [2, length + T, C], normal first; `words`: SOT, what follows the context, EOT."""
        contexts = (self.ctx_pos, self.ctx_neg)
        return torch.stack([torch.cat([words_TC[:1], context[0, 0], words_TC[1:]]) for context in contexts])


class ResidualMlp(nn.Module):
    """x + MLP(x) over the last axis; every token of a batch counts in the batch norm."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        inner = width // reduction
        self.fc = nn.Sequential(
            nn.Linear(width, inner, bias=False), nn.BatchNorm1d(inner), nn.ReLU(), nn.Linear(inner, width, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        adapted: Tensor = self.fc(x.flatten(0, -2)).view_as(x)
        return x + adapted


class VisualAdapter(nn.Module):
    """One residual MLP for the image feature, one for all tokens of the last V-V stream, class token included."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.local_adater = ResidualMlp(width, reduction)  # sic
        self.global_adapter = ResidualMlp(width, reduction)


class ComparingAdapter(nn.Module):
    """PQA, the prompt-query adapter: a picture's patches beside their nearest normal ones, layer by layer.

    Every layer has a batch norm of its own. What follows is one network for all of them: the official code puts the
    same module into its list once a layer, so its running statistics are of all layers.
    """

    def __init__(self, layers: int, width: int, hidden: int, top: int, context: bool) -> None:
        super().__init__()
        half = hidden // 2
        self.top, self.context = top, context
        self.sharebn = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(layers))
        local = nn.Sequential(
            nn.Conv2d(width, hidden, 3, padding=1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.ConvTranspose2d(hidden, hidden, 2, stride=2),
            nn.Conv2d(hidden, half, 3, padding=1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.ConvTranspose2d(half, half, 2, stride=2),
            nn.Conv2d(half, 2, 1),
        )
        whole = nn.Sequential(
            nn.Linear(width, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, half, bias=False),
            nn.BatchNorm1d(half),
            nn.ReLU(),
            nn.Linear(half, 2, bias=False),
        )
        self.local_adapter = nn.ModuleList([local])
        self.global_adapter = nn.ModuleList([whole])

    def forward(self, layer: int, query_BDgg: Tensor, aligned_BDgg: Tensor) -> tuple[Tensor, Tensor]:
        """Log-odds of anomalous from one layer, counted from 0: of the image [B], of its map [B, 4g, 4g]."""
        difference = (query_BDgg - aligned_BDgg).abs()
        fused = self.sharebn[layer](query_BDgg + difference if self.context else difference)
        normal, anomalous = self.local_adapter[0](fused).unbind(1)
        patches_BDN = fused.flatten(2)
        top = patches_BDN.topk(min(self.top, patches_BDN.shape[-1]), dim=-1).values
        whole_B2 = self.global_adapter[0]((patches_BDN.mean(-1) + top.mean(-1)) / 2)
        return whole_B2[:, 1] - whole_B2[:, 0], anomalous - normal


def nearest(queries_BND: Tensor, memories: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """1 − largest cosine with each image's memory [M, D], float64 [B, N], and the vectors it is reached with [B, N, D].

    Rows are unit vectors. One image at a time: a memory of k pictures makes k·N² cosines.
    """
    distances, aligned = [], []
    for queries_ND, memory_MD in zip(queries_BND, memories, strict=True):
        cosine, index = (queries_ND @ memory_MD.T).max(-1)
        distances.append((1 - cosine.double()).clamp_min(0))  # rounding can push a cosine above 1
        aligned.append(memory_MD[index])
    return torch.stack(distances), torch.stack(aligned)


def unit_patches(stream_BTD: Tensor) -> Tensor:
    """Unit vectors [B, N, D] of a stream without its class token."""
    return F.normalize(stream_BTD[:, 1:], dim=-1)


@contextmanager
def running_statistics(module: nn.Module, wanted: bool = True) -> Iterator[None]:
    """Where `wanted`, batch norm reads its running statistics inside, whatever the module's mode."""
    training = module.training
    module.train(training and not wanted)
    yield
    module.train(training)
