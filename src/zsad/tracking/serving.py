"""The model that the registry holds: MLflow loads this file as code, so no class is ever pickled.

A copy of it lies in every registered version and must load with later versions of zsad: beside the public interface it
knows `zsad.inference.by_address` and `zsad.inference.calibration` alone.

A picture in, a prediction out: encoded bytes (PNG, JPEG, …), over HTTP in base64; or its address, where the operator
allows that. `mlflow models serve -m models:/KEY@champion --env-manager local` takes `{"inputs": ["<base64>", …]}`, and
`params` beside it, which docs/registry.md lists. Calibrations lie beside the checkpoint.
"""

import base64
import binascii
import io
import logging
import math
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel

import zsad
from zsad.inference.by_address import allowed_by_operator
from zsad.inference.calibration import read_all_beside

MAX_PIXELS = 50_000_000  # of a picture, unless the operator says otherwise
PIXELS_VARIABLE = "ZSAD_MAX_PIXELS"
DATA = "data/weights"  # where zsad looks for frozen CLIPs

logging.getLogger("mlflow.types.type_hints").setLevel(logging.ERROR)  # warns that text or bytes is not checked: it is


class Prediction(BaseModel):
    """Image score in [0, 1]; label 1 = anomalous, 0 = normal, where there is a threshold; what else was asked for.

    percentile: of the normal pictures that the calibration saw, the share with this score or a lower one, in [0, 100].
    heatmap: 8-bit grey PNG in base64, 0 = normal, 255 = anomalous.
    """

    score: float
    label: int | None = None
    percentile: float | None = None
    threshold: float | None = None
    heatmap: str | None = None


class Refusal(MlflowException):
    """The caller's mistake: HTTP 400. The server puts the request before a message, megabytes of it; not here."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason, error_code=INVALID_PARAMETER_VALUE)

    @property
    def message(self) -> str:
        """What the caller is told."""
        return self.reason

    @message.setter
    def message(self, _: str) -> None:
        """Stays what it is."""


class AnomalyDetector(PythonModel):
    """A checkpoint behind MLflow's `predict`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the checkpoint and what lies beside it; this is when torch is imported."""
        self.checkpoint = Path(context.artifacts["checkpoint"])
        try:
            self.allowed, self.max_pixels = allowed_by_operator(), max_pixels()
            self.model = zsad.load(self.checkpoint)
        except zsad.UserError as error:
            where = f"where there is no repository, copy its folder {DATA} to {Path(DATA).absolute()}"
            raise MlflowException(f"{error}; {where}" if DATA in str(error) else str(error)) from error

    def predict(
        self, context: PythonModelContext, model_input: list[str | bytes], params: Any = None
    ) -> list[Prediction]:
        """Score pictures; what the caller can mend is HTTP 400, with the reason."""
        wanted = {name: value for name, value in (params or {}).items() if value not in (None, "")}
        try:
            return list(self._predictions(model_input, wanted))
        except zsad.UserError as error:
            raise Refusal(str(error)) from error

    def _predictions(self, given: list[str | bytes], wanted: Mapping[str, Any]) -> Iterator[Prediction]:
        side, threshold = wanted.get("map_size", 0), wanted.get("threshold")
        if not given:
            raise zsad.UserError("inputs: empty; send at least one picture")
        if side < 0:
            raise zsad.UserError(f"params.map_size {side}: at least 0, which is the picture's own size")
        if threshold is not None and not 0 <= threshold <= 1:
            raise zsad.UserError(f"params.threshold {threshold}: scores lie in [0, 1]")
        model = self._calibrated(wanted["calibration"]) if "calibration" in wanted else self.model
        pictures = [self._picture(one, number) for number, one in enumerate(given)]
        category, prompt_name = wanted.get("category"), wanted.get("prompt_name")
        for result in model.predict_batch(pictures, category=category, prompt_name=prompt_name):
            limit = result.threshold if threshold is None else threshold
            yield Prediction(
                score=result.score,
                label=result.label if threshold is None else int(result.score > threshold),
                percentile=result.percentile,
                threshold=limit,
                heatmap=encode_heatmap(result.map, side) if wanted.get("heatmap", True) else None,
            )

    def _calibrated(self, name: str) -> "zsad.Predictor":
        if name not in self.calibrated:
            there = ", ".join(self.calibrated) or "none"
            raise zsad.UserError(f"params.calibration {name}: this version was loaded with: {there}")
        return self.calibrated[name]

    @cached_property
    def calibrated(self) -> dict[str, "zsad.Predictor"]:
        """The same model under each calibration that lies beside the checkpoint, by name."""
        return {name: self.model.calibrated(one) for name, one in read_all_beside(self.checkpoint).items()}

    def _picture(self, given: str | bytes, number: int) -> bytes:
        """Encoded bytes; not decoded when it has too many pixels."""
        if isinstance(given, str):
            given = self.allowed.read(given) if "://" in given else decoded(given, number)
        if not isinstance(given, bytes):
            raise zsad.UserError(f"inputs[{number}]: not a picture in base64")
        try:
            with Image.open(io.BytesIO(given)) as picture:
                width, height = picture.size
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            return given  # zsad reads what Pillow cannot, or says why not
        if width * height > self.max_pixels:
            raise zsad.UserError(f"inputs[{number}]: {width} x {height} pixels, more than {self.max_pixels:,}")
        return given


def decoded(text: str, number: int) -> bytes:
    """Bytes of a picture in base64, which may be broken into lines."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise zsad.UserError(f"inputs[{number}]: not base64 ({error})") from error


def encode_heatmap(values: np.ndarray, side: int = 0) -> str:
    """An anomaly map [H,W] in [0,1] as an 8-bit grey PNG in base64, its longer side at most `side` pixels (0: any)."""
    if side and (scale := side / max(values.shape)) < 1:
        size = tuple(max(1, math.floor(length * scale + 0.5)) for length in values.shape[::-1])
        values = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    grey = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    written, png = cv2.imencode(".png", grey)
    if not written:
        raise RuntimeError(f"OpenCV could not encode a map of shape {values.shape}")
    return base64.b64encode(png.tobytes()).decode("ascii")


def max_pixels() -> int:
    """Largest picture that is decoded: ZSAD_MAX_PIXELS, else 50 megapixels."""
    given = os.environ.get(PIXELS_VARIABLE, str(MAX_PIXELS))
    if not given.isdecimal() or int(given) < 1:
        raise zsad.UserError(f"{PIXELS_VARIABLE} {given}: write a whole number of pixels, such as {MAX_PIXELS}")
    return int(given)


mlflow.models.set_model(AnomalyDetector())
