"""What few-shot methods remember of normal pictures, and how far a new patch is from it. Rows are unit vectors."""

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.learners.shared.pictures import of_each

BLOCK = 4096  # rows of a distance matrix that are held at a time


def distance(queries_BQC: Tensor, memory_MC: Tensor) -> Tensor:
    """½ (1 − largest cosine with the memory) in [0, 1], float64 [B, Q]; one image at a time in memory.

    Rounding can push a cosine above 1; a negative distance would cancel others in a harmonic mean.
    """
    nearest = of_each(lambda queries: (queries @ memory_MC.T).amax(-1), F.normalize(queries_BQC, dim=-1))
    return ((1 - nearest.double()) / 2).clamp(0, 1)


def coreset(memory_MC: Tensor, count: int) -> Tensor:
    """Indices [count] of a greedy k-centre selection: each next vector is the one farthest from those chosen.

    PatchCore (arXiv 2106.08265, algorithm 1) as its code begins: with the vector that is farthest from all others, by
    the norm of its distances. Its random projection to 128 dimensions is left out: distances are exact.
    """
    far_M = torch.cat([_euclidean(block, memory_MC).norm(dim=1) for block in memory_MC.split(BLOCK)])
    chosen = []
    for _ in range(count):
        chosen.append(int(far_M.argmax()))
        far_M = torch.minimum(far_M, _euclidean(memory_MC, memory_MC[chosen[-1:]])[:, 0])
    return torch.tensor(chosen)


def reweighted(query_C: Tensor, memory_MC: Tensor, neighbours: int) -> Tensor:
    """½ of the distance to the nearest vector m*, times 1 − softmax(distances to m*'s neighbours)[m*]; float64 scalar.

    PatchCore's image score (eq. 7) of a picture's most anomalous patch, with distances of unit vectors.
    """
    query, memory = query_C.double()[None], memory_MC.double()
    to_all = _euclidean(query, memory)[0]
    nearest = int(to_all.argmin())
    around = _euclidean(memory[nearest][None], memory)[0]
    around[nearest] = -1  # m* is its own first neighbour, also beside equals
    near = around.topk(min(neighbours, len(memory)), largest=False).indices
    return (1 - torch.softmax(to_all[near], dim=0)[0]) * to_all[nearest] / 2


def _euclidean(a_AC: Tensor, b_BC: Tensor) -> Tensor:
    """Distances [A, B] of unit vectors."""
    return (2 - 2 * a_AC @ b_BC.T).clamp_min(0).sqrt()
