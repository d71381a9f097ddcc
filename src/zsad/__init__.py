"""Zero-shot anomaly detection with learned CLIP prompts.

    model = zsad.load("models:/cops@champion")
    result = model.predict("photo.png")
    model.overlay("photo.png", result)

What stands here is the public interface: `load`, `evaluate`, `list_models`, the types they give, and `UserError`, which
all of them raise for what the caller can mend. Everything else may change. Importing zsad loads no torch.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zsad.common.errors import UserError
    from zsad.evaluation.evaluate import evaluate
    from zsad.inference.model import Predictor, Result
    from zsad.tracking.loading import load
    from zsad.tracking.versions import RegisteredModel, list_models

# Before torch loads OpenMP: threads that spin while they wait make a busy CPU 20 to 40 times slower (measured on two
# cores with one other process running), and cost nothing to put to sleep on an idle one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
__all__ = ["Predictor", "RegisteredModel", "Result", "UserError", "__version__", "evaluate", "list_models", "load"]

_ROOMS = {
    "UserError": "zsad.common.errors",
    "evaluate": "zsad.evaluation.evaluate",
    "Predictor": "zsad.inference.model",
    "Result": "zsad.inference.model",
    "load": "zsad.tracking.loading",
    "RegisteredModel": "zsad.tracking.versions",
    "list_models": "zsad.tracking.versions",
}


def __getattr__(name: str) -> Any:
    """A public name, from the room it lives in, when it is first asked for."""
    if name not in _ROOMS:
        raise AttributeError(f"module 'zsad' has no attribute {name!r}")
    return getattr(importlib.import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return __all__
