"""Prompt-flow distributions of Bayes-PFL: a diagonal Gaussian pushed through planar flows (Rezende & Mohamed 2015).

Part of the method in `__init__`. Parameter names are the official state dict's.
Shapes: N distributions (images, or 1), R samples of each, D width, K flows.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Perceptron(nn.Module):
    """Linear, Softplus, Linear, Softplus, Linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        sizes = ((width, hidden), (hidden, hidden), (hidden, width))
        linear = [nn.Linear(*size) for size in sizes]
        self.module = nn.Sequential(linear[0], nn.Softplus(), linear[1], nn.Softplus(), linear[2])

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)


class BaseEncoder(nn.Module):
    """Mean and log-variance [N, D] of the base Gaussian. The official code halves what its second network gives.

    It takes exp(half) for the *variance*, so the standard deviation is exp(a quarter of the network's output).
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.weight_mean = Perceptron(width, hidden)
        self.weight_log_variance = Perceptron(width, hidden)

    def forward(self, x_ND: Tensor) -> tuple[Tensor, Tensor]:
        return self.weight_mean(x_ND), 0.5 * self.weight_log_variance(x_ND)


@dataclass(frozen=True)
class Planar:
    """Parameters of K planar flows: u, w [N, K, D], b [N, K]. As officially, nothing enforces invertibility."""

    u: Tensor
    w: Tensor
    b: Tensor

    def transform(self, z_NRD: Tensor) -> tuple[Tensor, Tensor]:
        """z_k = z_{k-1} + u_k tanh(w_kᵀz_{k-1} + b_k) for k = 1..K: z_K [N, R, D] and Σ log|det| [N, R].

        As z_k is z_0 and a sum of u_j s_j, s_j being the tanh, w_kᵀz_{k-1} follows from w_kᵀz_0 and w_kᵀu_j.
        """
        inner_NKK = self.w @ self.u.transpose(1, 2)  # w_kᵀu_j
        argument_NRK = z_NRD @ self.w.transpose(1, 2) + self.b[:, None]  # w_kᵀz + b_k of z as it is now, for every k
        slopes = []
        for k, column_NK in enumerate(inner_NKK.unbind(2)):
            slopes.append(torch.tanh(argument_NRK[..., k, None]))
            argument_NRK = torch.addcmul(argument_NRK, slopes[-1], column_NK[:, None])
        slopes_NRK = torch.cat(slopes, dim=2)
        determinant_NRK = 1 + (1 - slopes_NRK**2) * inner_NKK.diagonal(dim1=1, dim2=2)[:, None]
        return z_NRD + slopes_NRK @ self.u, torch.log(determinant_NRK.abs() + 1e-5).sum(-1)


class ConditionalFlows(nn.Module):
    """Flows of the image-specific distribution: linear functions of the image feature."""

    def __init__(self, width: int, flows: int) -> None:
        super().__init__()
        self.amor_u, self.amor_w = nn.Linear(width, flows * width), nn.Linear(width, flows * width)
        self.amor_b = nn.Linear(width, flows)

    def forward(self, f_ND: Tensor) -> Planar:
        shape = (self.amor_b.out_features, f_ND.shape[1])
        return Planar(self.amor_u(f_ND).unflatten(1, shape), self.amor_w(f_ND).unflatten(1, shape), self.amor_b(f_ND))


class FreeFlows(nn.Module):
    """Flows of an image-agnostic distribution, and the learnable vector [1, D] that its base Gaussian encodes."""

    def __init__(self, width: int, flows: int) -> None:
        super().__init__()
        self.amor_u = nn.Parameter(torch.randn(1, flows, width))
        self.amor_w = nn.Parameter(torch.randn(1, flows, width))
        self.amor_b = nn.Parameter(torch.randn(1, flows))
        self.state = nn.Parameter(torch.randn(1, width))

    def forward(self) -> Planar:
        return Planar(self.amor_u, self.amor_w, self.amor_b)


@dataclass(frozen=True)
class Draw:
    """Samples z = z_K [N, R, D] and log q(z) − log p(z) of each, [N, R], in two parts: densities and Σ log|det|."""

    z: Tensor
    densities: Tensor
    log_det: Tensor


def push(base: tuple[Tensor, Tensor], flows: Planar, noise_NRD: Tensor) -> Draw:
    """Push mean + exp(log_var / 2)·noise through the flows; base: mean and log_var [N, D]; noise may have N = 1.

    densities = log N(z_0; mean, var) − log N(z_K; 0, I); the normalising constants cancel.
    """
    mean_N1D, log_var_N1D = base[0][:, None], base[1][:, None]
    z_NRD, log_det_NR = flows.transform(mean_N1D + (0.5 * log_var_N1D).exp() * noise_NRD)
    log_q = -0.5 * (log_var_N1D + noise_NRD**2).sum(-1)
    log_p = -0.5 * (z_NRD**2).sum(-1)
    return Draw(z_NRD, log_q - log_p, log_det_NR)


def divergence(draw: Draw, share: int = 1) -> Tensor:
    """Estimated KL to N(0, I), mean over samples. `share` divides Σ log|det|.

    The official code has the batch size there for its image-agnostic distributions: they have one log-determinant, but
    as many prior terms as the batch has images.
    """
    return (draw.densities - draw.log_det / share).mean()


class ResidualCrossAttention(nn.Module):
    """RCA: text embeddings absorb the patches of one layer before they are compared with them.

    Keys and values are the projected patches themselves, in `heads` slices; scores are scaled by the whole width.
    """

    def __init__(self, vision_width: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.q_proj_pre = nn.Linear(width, width)
        self.linear_proj = nn.ModuleList(nn.Linear(vision_width, width, bias=False) for _ in range(layers))

    def forward(self, text_NPD: Tensor, patches_NLC: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Unit text embeddings U_l [N, P, D] and unit patches S_l [N, L, D]."""
        s_NLD = F.normalize(self.linear_proj[layer](patches_NLC), dim=-1)
        keys = self._split(s_NLD)
        attended = F.scaled_dot_product_attention(
            self._split(self.q_proj_pre(text_NPD)), keys, keys, scale=self.width**-0.5
        )
        return F.normalize(attended.transpose(1, 2).flatten(2) + text_NPD, dim=-1), s_NLD

    def _split(self, x_NTD: Tensor) -> Tensor:
        return x_NTD.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Fusion(nn.Module):
    """The patches of all layers as one vector [N, D], by a softmax over patches."""

    def __init__(self, vision_width: int, hidden: int, width: int, layers: int) -> None:
        super().__init__()
        self.fuse_modules = nn.Linear(vision_width * layers, hidden)
        self.compress = nn.Linear(hidden, 1)
        self.post_process = nn.Linear(hidden, width)

    def forward(self, layers_NLC: list[Tensor]) -> Tensor:
        x = self.fuse_modules(torch.cat(layers_NLC, dim=2))
        return self.post_process((self.compress(x).softmax(1) * x).sum(1))
