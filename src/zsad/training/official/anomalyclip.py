"""AnomalyCLIP: zqhang/AnomalyCLIP, `checkpoints/9_12_4_multiscale*/epoch_15.pth`; 32 tensors at ViT-L."""

from typing import Any

from zsad.learners.base import Learner
from zsad.training.official.contents import Contents, parameters, projections, prompts

SETTINGS: dict[str, Any] = {}


def layout(learner: Learner) -> Contents:
    """Learned contexts and deep tokens; embeddings and ids of the prompts; projections that nothing reads."""
    text, tokens = learner.clip.text, learner.config.context_length
    placeholders = "X " * tokens
    trained = parameters(learner)
    sets = sum(name.startswith("compound_prompts_text.") for name in trained)
    return Contents(
        top="prompt_learner",
        trained=trained,
        frozen=prompts(text, "pos", [f"{placeholders}object."], tokens)
        | prompts(text, "neg", [f"{placeholders}damaged object."], tokens),
        unused=projections(sets, text.width),
    )
