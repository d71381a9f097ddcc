"""Hybrid semantic fusion of AdaCLIP: the most anomalous patches, clustered. Part of the method in `__init__`.

Shapes: B images, N patches, K chosen ones, D joint width, L layers.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

PATCHES_PER_CLUSTER = 5


def semantic_fusion(layers_BND: Sequence[Tensor], logits_BN: Tensor, clusters: int, seed: int | None) -> Tensor:
    """Unit features [B, D]: mean over clusters of the mean over their patches of all layers.

    logits: mean log-odds of the layers, which choose the patches; seed of K-means, None = numpy's global state.
    """
    count = min(PATCHES_PER_CLUSTER * clusters, logits_BN.shape[1])
    chosen_BK = logits_BN.topk(count, dim=1).indices
    tokens_LBKD = torch.stack([x.gather(1, chosen_BK[..., None].expand(-1, -1, x.shape[-1])) for x in layers_BND])
    means = []
    for tokens_LKD in tokens_LBKD.unbind(1):
        labels = cluster(torch.cat(tokens_LKD.unbind(0), dim=1), min(clusters, count), seed)
        groups = [tokens_LKD[:, labels == label].flatten(0, 1).mean(0) for label in labels.unique()]
        means.append(torch.stack(groups).mean(0))
    return F.normalize(torch.stack(means), dim=1)


def cluster(points_KF: Tensor, clusters: int, seed: int | None) -> Tensor:
    """Label [K] of each point by K-means from one k-means++ start."""
    from sklearn.cluster import KMeans

    points = points_KF.detach().float().cpu().numpy()
    labels = KMeans(n_clusters=clusters, n_init="auto", random_state=seed).fit_predict(points)
    return torch.from_numpy(np.asarray(labels, dtype=np.int64)).to(points_KF.device)
