"""The model that the registry holds: MLflow loads this file as code, so no class is ever pickled.

A copy of it lies in every registered version and must load with later versions of zsad: it knows the public interface
alone.

One encoded picture (PNG, JPEG, …) in, one prediction out. `mlflow models serve -m models:/KEY@champion --env-manager
local` takes `{"inputs": ["<base64 of a picture>", …]}`. A few-shot model with several categories must be told which:
`{"inputs": […], "params": {"category": "NAME"}}`.
"""

import base64
from typing import Any

import cv2
import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel, PythonModelContext
from pydantic import BaseModel

import zsad


class Prediction(BaseModel):
    """Image score in [0,1]; label 1 = anomalous, if the model has a threshold; heat map at the picture's own size."""

    score: float
    label: int | None = None
    heatmap: str  # 8-bit grey PNG in base64: 0 = normal, 255 = anomalous


class AnomalyDetector(PythonModel):
    """A checkpoint behind MLflow's `predict`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the checkpoint; this is when torch is imported."""
        self.model = zsad.load(context.artifacts["checkpoint"])

    def predict(self, context: PythonModelContext, model_input: list[bytes], params: Any = None) -> list[Prediction]:
        """Score encoded pictures; a picture that cannot be read is the caller's mistake (HTTP 400)."""
        try:
            results = list(self.model.predict_batch(model_input, category=(params or {}).get("category") or None))
        except zsad.UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        return [Prediction(score=r.score, label=r.label, heatmap=encode_heatmap(r.map)) for r in results]


def encode_heatmap(values: np.ndarray) -> str:
    """An anomaly map [H,W] in [0,1] as an 8-bit grey PNG in base64."""
    grey = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    written, png = cv2.imencode(".png", grey)
    if not written:
        raise RuntimeError(f"OpenCV could not encode a map of shape {values.shape}")
    return base64.b64encode(png.tobytes()).decode("ascii")


mlflow.models.set_model(AnomalyDetector())
