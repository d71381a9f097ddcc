"""A version as an MLflow model: serving code, checkpoint, signature, input example, pinned requirements.

Written as a folder and then uploaded: MLflow's own way loads and runs a model that has an input example, for seconds.
"""

import base64
import json
import os
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
import numpy as np
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from packaging.version import Version

from zsad.common.io import METADATA_KEY, write_json
from zsad.inference.calibration import Calibration, beside, write_calibration
from zsad.tracking.candidates import Candidate
from zsad.tracking.connection import Store
from zsad.tracking.versions import model_id_of

SERVING = Path(__file__).with_name("serving.py")
ARTIFACTS, CHECKPOINT = "artifacts", ".safetensors"  # MLflow's folder in a model, and what ends so in it
SERVED_BY = (  # packages that decide what a served model answers
    *("zsad", "mlflow", "numpy", "opencv-python-headless", "open_clip_torch", "pillow", "pydantic", "safetensors"),
    *("scipy", "torch", "torchvision"),
)
PARAMS = ParamSchema(
    [
        ParamSpec("calibration", "string", ""),
        ParamSpec("threshold", "double", None),
        ParamSpec("map_size", "long", 0),
        ParamSpec("heatmap", "boolean", True),
        ParamSpec("category", "string", ""),
        ParamSpec("prompt_name", "string", ""),
    ]
)


def log_model(store: Store, run_id: str, candidate: Candidate) -> str:
    """Make a LoggedModel of the train run that holds the candidate's checkpoint; returns its id.

    Not within an active run: MLflow would copy the run's losses to the model and end the run a second time.
    """
    client = store.client
    logged = client.create_logged_model(
        store.comparison,
        name=candidate.name,
        source_run_id=run_id,
        tags=candidate.tags,
        params=client.get_run(run_id).data.params,
    )
    told = {"seed": candidate.seed, "checkpoints": candidate.training.checkpoints}
    place = {"artifact_path": logged.artifact_location, "model_uuid": logged.model_id, "model_id": logged.model_id}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        write_model(folder, candidate.file, Model(**place, metadata=told))
        client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return str(logged.model_id)


def write_model(folder: Path, checkpoint: Path, described: Model) -> None:
    """The folder of an MLflow model that serves `checkpoint`; `described` is filled and becomes its MLmodel."""
    mlflow.pyfunc.save_model(
        folder,
        python_model=str(SERVING),
        artifacts={"checkpoint": str(checkpoint)},
        pip_requirements=requirements(),
        mlflow_model=described,
    )
    signature = ModelSignature(Schema([ColSpec(DataType.binary)]), described.signature.outputs, PARAMS)
    signature._is_signature_from_type_hint = True  # the server leaves decoding and checking to the serving code
    described.signature = signature
    described.saved_input_example_info = _write_example(folder, checkpoint)
    described.save(str(folder / "MLmodel"))


def _write_example(folder: Path, checkpoint: Path) -> dict[str, str]:
    """A request that the model answers, twice as MLflow keeps it: for Python, and for its server. Returns its info."""
    pictures = [base64.b64encode(example_picture()).decode()]
    names = {"artifact_path": "input_example.json", "serving_input_path": "serving_input_example.json"}
    for name in names.values():
        write_json(folder / name, {"inputs": pictures, "params": _example_params(checkpoint)})
    return {**names, "type": "json_object", "params": "true"}


def put_beside_checkpoint(store: Store, version: ModelVersion, calibration: Calibration) -> None:
    """Add a calibration to the folder of a version, in place of one of its name: copies and servers find it there."""
    model_id = model_id_of(version)
    held = [Path(item.path) for item in store.client.list_logged_model_artifacts(model_id, ARTIFACTS)]
    with tempfile.TemporaryDirectory() as scratch:
        for checkpoint in (file for file in held if file.suffix == CHECKPOINT):
            file = beside(Path(scratch) / checkpoint.name, calibration.name)
            write_calibration(file, calibration)
            store.client.log_model_artifact(model_id, str(file), ARTIFACTS)


def requirements() -> list[str]:
    """What serves the model, each in the version that is here; builds of one version (`+cpu`) are one."""
    return [f"{name}=={Version(metadata.version(name)).public}" for name in SERVED_BY]


def example_picture() -> bytes:
    """A small drawn picture as PNG: an even surface with a dark spot."""
    import cv2

    picture = np.full((64, 64, 3), 170, dtype=np.uint8)
    cv2.circle(picture, (40, 24), 7, (40, 40, 60), -1)
    _, png = cv2.imencode(".png", picture)
    return bytes(png)


def _example_params(checkpoint: Path) -> dict[str, Any]:
    """Params of the example: of a few-shot model its first category, without which it may not answer."""
    from safetensors import safe_open

    with safe_open(checkpoint, framework="np") as file:
        header = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
    categories = header.get("categories") or {}
    return {"map_size": 32, **({"category": next(iter(categories))} if categories else {})}
