"""AdaptCLIP: gaobb/AdaptCLIP, `epoch_15.pth` of its released folders; three adapters under a key each.

The comparing adapter's two networks stand in the file once a layer, though they are the same modules.
"""

from typing import Any

from torch import Tensor

from zsad.learners.base import Learner
from zsad.training.official.contents import Contents, prompts, stored

ADAPTERS = ("textual_learner", "visual_learner", "pq_learner")
SHARED = tuple(f"pq_learner.{network}.0." for network in ("local_adapter", "global_adapter"))
SETTINGS: dict[str, Any] = {}


def layout(learner: Learner) -> Contents:
    """Parameters and running statistics under our names, repeats of the shared networks, buffers of the prompts."""
    trained, length = stored(learner), learner.config.context_length
    frozen: dict[str, Tensor] = {}
    for polarity in ("pos", "neg"):
        buffers = prompts(learner.clip.text, polarity, [" ".join(["X"] * length) + "."], length)
        frozen |= {f"textual_learner.{name}": value for name, value in buffers.items()}
    copies = _repeats(trained, sum(name.startswith("pq_learner.sharebn.") for name in trained) // 5)
    whole = frozenset(name for name in [*trained, *copies] if name.endswith("num_batches_tracked"))
    return Contents(top=ADAPTERS, trained=trained, frozen=frozen, copies=copies, whole=whole)


def _repeats(trained: dict[str, Any], layers: int) -> dict[str, str]:
    """Name of the shared networks' tensors in each further layer → ours, of the first."""
    return {
        name.replace(".0.", f".{layer}.", 1): name
        for name in trained
        for layer in range(1, layers)
        if name.startswith(SHARED)
    }
