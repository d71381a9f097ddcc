"""APRIL-GAN: ByChelsea/VAND-APRIL-GAN, `exps/pretrained/visa_pretrained.pth` and `mvtec_pretrained.pth`; 8 tensors.

No embedding of CLIP is in them: a wrong backbone shows by shapes alone.
"""

from typing import Any

from zsad.learners.base import Learner
from zsad.training.official.contents import Contents, parameters

SETTINGS: dict[str, Any] = {}


def layout(learner: Learner) -> Contents:
    """The linear layers, one a block read, under our names."""
    return Contents(top="trainable_linearlayer", trained=parameters(learner))
