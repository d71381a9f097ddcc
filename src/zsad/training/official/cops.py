"""CoPS: cqylunlun/CoPS, `epoch_10.pth` (trained on VisA) and `epoch_5.pth` (on MVTec AD); 28 tensors at ViT-L.

Its code saves neither the VAE's encoder, which only training needs, nor embeddings of CLIP: a wrong backbone shows by
shapes alone. K, α and β follow the training set and stand in no file: those of VisA-trained weights, the Config's
defaults, are assumed and said to be.
"""

from typing import Any

from zsad.learners.base import Learner
from zsad.training.official.contents import Caution, Contents, parameters

SETTINGS: dict[str, Any] = {}
KEYED = Caution(
    ("pool", "alpha", "beta"),
    "the constants of weights trained on VisA; for weights trained on MVTec AD, import again with"
    " --set pool=3 --set alpha=0.35 --set beta=1.0",
)


def layout(learner: Learner) -> Contents:
    """Contexts, queries, extractor, decoder and deep tokens, under our names."""
    return Contents(top="prompt_learner", trained=parameters(learner), keyed=KEYED)
