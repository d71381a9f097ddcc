"""AdaCLIP: caoyunkang/AdaCLIP, `pretrained_*.pth`; 38 tensors at ViT-L, flat, their names below `clip_model.`

No embedding of CLIP is in it: a wrong backbone shows by shapes alone.
"""

from typing import Any

from zsad.learners.base import Learner
from zsad.training.official.contents import Contents, parameters

SETTINGS: dict[str, Any] = {}


def layout(learner: Learner) -> Contents:
    """Our parameters, and the text tower's first static prompts, which nothing reads."""
    shape = (learner.config.prompt_length, learner.clip.text.width)
    return Contents(top="clip_model.", trained=parameters(learner), unused={"text_prompter.static_prompts.0": shape})
