"""FAPrompt: mala-lab/FAPrompt, `train_on_visa.pth` and `train_on_mvtecad.pth`; 36 tensors at ViT-L.

Its weights were trained with the first patches of the top row where the paper says the most abnormal ones, so they are
used so (`--set dap_selection=topk` for the other). An older variant has one abnormal token: `--set abnormal_tokens=1`.
"""

from typing import Any

from zsad.learners.base import Learner
from zsad.training.official.contents import Contents, parameters, projections, prompts

SETTINGS: dict[str, Any] = {"dap_selection": "first"}


def layout(learner: Learner) -> Contents:
    """Learned tokens, the patch network, deep tokens; embeddings and ids of the prompts; unread projections."""
    text, config = learner.clip.text, learner.config
    normal, abnormal = "N " * config.normal_tokens, "A " * config.abnormal_tokens
    anomalous = [f"{normal}{abnormal}damaged object."] * config.prompts
    trained = parameters(learner)
    sets = sum(name.startswith("compound_prompts_text.") for name in trained)
    return Contents(
        top="prompt_learner",
        trained=trained,
        frozen=prompts(text, "pos", [f"{normal}object."], config.normal_tokens)
        | prompts(text, "neg", anomalous, config.normal_tokens + config.abnormal_tokens),
        unused=projections(sets, text.width),
    )
