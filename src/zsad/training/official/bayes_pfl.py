"""Bayes-PFL: xiaozhen228/Bayes-PFL, `train_visa.pth` and `train_mvtec.pth`; 131 tensors at ViT-L.

The file repeats each encoder below every distribution that uses it, and holds decoders and `p_mu` heads that no loss
reached. No embedding of CLIP is in it: a wrong backbone shows by shapes alone. Weights of the first training stage have
an image classifier as it was initialised, biases 0, and are refused until `--set classifier_epochs=0` leaves it out.
"""

from typing import Any

from zsad.learners.base import Learner
from zsad.training.official.contents import Caution, Contents, Shape, parameters

SETTINGS: dict[str, Any] = {}
STATES = ("PFL_normal", "PFL_abnormal")
FIRST_STAGE = (
    "its image classifier (image_mapping, fuse) is as initialised: weights of the first training stage; import them"
    " without it: --set classifier_epochs=0"
)


def layout(learner: Learner) -> Contents:
    """Our parameters, some with axes of length 1; repeated encoders; decoders, heads and a classifier left out."""
    width, vision = learner.clip.text.width, learner.clip.image.class_embedding.shape[0]
    trained = parameters(learner) | _with_official_axes(learner)
    encoders = {name: f"PFL_context.{name.removeprefix('context_')}" for name in trained if "context_encoder." in name}
    copies = {copy: name for name, copy in encoders.items()}
    for state in STATES:
        shared = (name for name in trained if name.startswith("state_encoder."))
        copies |= {f"{state}.{name.removeprefix('state_')}": name for name in shared}
    unused: dict[str, Shape] = {}
    for place in ("context_decoder", "state_decoder", *(f"{name}.decoder" for name in ("PFL_context", *STATES))):
        unused |= _perceptron(f"{place}.weight_mean", width, vision // 2)
    for name in ("PFL_context", *STATES):
        unused |= _linear(f"{name}.p_mu.0", width, width)
    classifier = _classifier(width, vision, len(learner.spec.layers))
    unused |= {name: shape for name, shape in classifier.items() if name not in trained}
    biases = tuple(name for name in classifier if name in trained and name.endswith(".bias"))
    late = Caution(biases, FIRST_STAGE)
    return Contents(top="MyModel", trained=trained, copies=copies, unused=unused, late=late)


def _with_official_axes(learner: Learner) -> dict[str, Shape]:
    """Parameters that are a convolution or a batch of one matrix there."""
    width, flows = learner.clip.text.width, learner.config.flows
    shapes: dict[str, Shape] = {"RCA.q_proj_pre.weight": (width, width, 1)}
    for state in STATES:
        shapes[f"{state}.amor_u"] = (1, flows, width, 1)
        shapes[f"{state}.amor_w"] = (1, flows, 1, width)
        shapes[f"{state}.amor_b"] = (1, flows, 1, 1)
    return shapes


def _classifier(width: int, vision: int, layers: int) -> dict[str, Shape]:
    hidden = vision // 2
    return {
        **_linear("image_mapping", width, width),
        **_linear("fuse.fuse_modules", vision * layers, hidden),
        **_linear("fuse.compress", hidden, 1),
        **_linear("fuse.post_process", hidden, width),
    }


def _perceptron(name: str, width: int, hidden: int) -> dict[str, Shape]:
    return {
        **_linear(f"{name}.module.0", width, hidden),
        **_linear(f"{name}.module.2", hidden, hidden),
        **_linear(f"{name}.module.4", hidden, width),
    }


def _linear(name: str, inputs: int, outputs: int) -> dict[str, Shape]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
