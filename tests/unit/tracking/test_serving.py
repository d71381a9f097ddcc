"""A registered model behind MLflow's own server: what it takes, what it answers, what it refuses and how."""

import base64
import json
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import mlflow
import numpy as np
import pytest
import uvicorn
from mlflow.models import Model
from mlflow.pyfunc import scoring_server
from PIL import Image

from tests.helpers.models import noise, save
from zsad.common.io import file_sha256
from zsad.inference.calibration import beside, calibrate, write_calibration
from zsad.inference.model import load_checkpoint
from zsad.tracking.mlflow_model import PARAMS, example_picture, requirements, write_model

__all__ = ["save"]  # the fixture, by which pytest finds it
NORMALS = [0.001 * n for n in range(1000)]
Answer = tuple[int, Any]  # HTTP status; the one prediction, or the message


@pytest.fixture
def folder(save: Callable[..., Path], tmp_path: Path) -> Path:
    """An MLflow model of a small checkpoint, with one calibration."""
    checkpoint, out = save(), tmp_path / "model"
    write_model(out, checkpoint, Model())
    known = calibrate("LINE3", 0.05, NORMALS, NORMALS, checkpoint_sha256=file_sha256(checkpoint))
    write_calibration(beside(out / "artifacts" / checkpoint.name, "LINE3"), known)
    return out


@pytest.fixture
def ask(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Answer]]:
    """ask(inputs, **params) → answer over HTTP; environment(…) first, for what an operator sets."""
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")  # MLflow sets it, and leaves it set
    (folder.parent / "allowed").mkdir()
    monkeypatch.setenv("ZSAD_PICTURES_FROM", str(folder.parent / "allowed"))
    monkeypatch.setenv("ZSAD_MAX_PIXELS", "4000")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = scoring_server.init(mlflow.pyfunc.load_model(str(folder)))
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)

    def post(inputs: Any, **params: Any) -> Answer:
        body = json.dumps({"inputs": inputs, **({"params": params} if params else {})}).encode()
        where = f"http://127.0.0.1:{port}/invocations"
        request = urllib.request.Request(where, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)["predictions"]
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["message"]

    yield post
    server.should_exit = True
    thread.join()


def encoded(picture: Image.Image, ending: str = "png") -> bytes:
    picture.save(path := Path(f"picture.{ending}"))
    return path.read_bytes()


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def pixels(heatmap: str) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(base64.b64decode(heatmap), np.uint8), cv2.IMREAD_UNCHANGED)


def test_answers(ask: Callable[..., Answer], folder: Path) -> None:
    """One server for all, since a start takes longest."""
    png = encoded(noise(40, 30))
    expected = load_checkpoint(Path("model.safetensors"), "cpu").predict(png)
    status, (plain,) = ask([in_base64(png)])
    assert status == 200
    assert plain["score"] == pytest.approx(expected.score, abs=1e-6)
    assert [plain[name] for name in ("label", "percentile", "threshold")] == [None] * 3
    assert np.array_equal(pixels(plain["heatmap"]), np.rint(expected.map * 255).astype(np.uint8))

    _, (broken_into_lines,) = ask([base64.encodebytes(png).decode()])
    assert broken_into_lines == plain

    _, (told,) = ask([in_base64(png)], calibration="LINE3", heatmap=False)
    assert told["threshold"] == pytest.approx(0.950)
    assert told["label"] == int(plain["score"] > told["threshold"])
    assert told["percentile"] == pytest.approx(100 * sum(normal <= plain["score"] for normal in NORMALS) / 1000)
    assert told["heatmap"] is None

    for threshold, label in ((plain["score"] - 1e-6, 1), (plain["score"] + 1e-6, 0)):
        _, (given,) = ask([in_base64(png)], threshold=threshold, calibration="LINE3", map_size=20)
        assert (given["label"], given["threshold"], given["percentile"]) == (label, threshold, told["percentile"])
        assert pixels(given["heatmap"]).shape == (15, 20)
    _, (never_larger,) = ask([in_base64(png)], map_size=4000)
    assert pixels(never_larger["heatmap"]).shape == (30, 40)

    shutil.copy("picture.png", folder.parent / "allowed" / "part 1.png")
    _, (by_address,) = ask([f"file://{folder.parent}/allowed/part%201.png"])
    assert by_address == plain


def test_refusals_say_why_and_repeat_no_request(ask: Callable[..., Answer], folder: Path) -> None:
    png = in_base64(encoded(noise(40, 30)))
    (folder.parent / "secret.png").write_bytes(base64.b64decode(png))
    refused: list[tuple[Any, dict[str, Any], str]] = [
        ([], {}, "inputs: empty"),
        ("no list", {}, "Expected list"),
        ([7], {}, "inputs[0]: not a picture in base64"),
        ([png, "ä"], {}, "inputs[1]: not base64"),
        ([png[:-3]], {}, "inputs[0]: not base64"),
        ([in_base64(b"plain text")], {}, "not a readable picture"),
        ([in_base64(encoded(noise(81, 50)))], {}, "inputs[0]: 81 x 50 pixels, more than 4,000"),
        ([png], {"calibration": "LINE4"}, "params.calibration LINE4: this version was loaded with: LINE3"),
        ([png], {"threshold": 1.5}, "params.threshold 1.5: scores lie in [0, 1]"),
        ([png], {"map_size": -1}, "params.map_size -1: at least 0"),
        ([png], {"category": "cork"}, "category 'cork': this is a zero-shot model"),
        ([f"file://{folder.parent}/secret.png"], {}, "not allowed here"),
        ([f"file://{folder.parent}/allowed/../secret.png"], {}, "not allowed here"),
        (["https://localhost/picture.png"], {}, "not allowed here"),
    ]
    for inputs, params, reason in refused:
        status, message = ask(inputs, **params)
        assert (status, reason in message) == (400, True), (reason, message)
        assert png[40:] not in message
    status, message = ask([png], threshold="high")  # MLflow's own refusal
    assert (status, "threshold" in message) == (400, True)


def test_the_folder_says_what_the_model_takes_and_needs(folder: Path) -> None:
    told = Model.load(str(folder))
    assert told.get_params_schema() == PARAMS
    assert told.signature.inputs.to_dict() == [{"type": "binary", "required": True}]
    assert [column["type"] for column in told.signature.outputs.to_dict()] == ["object"]
    needed = (folder / "requirements.txt").read_text().split()
    assert needed == requirements()
    assert f"mlflow=={mlflow.__version__}" in needed
    assert not [path.name for path in folder.rglob("*.pkl")]


def test_the_input_example_is_a_request_that_the_model_answers(folder: Path) -> None:
    told, model = Model.load(str(folder)), mlflow.pyfunc.load_model(str(folder))
    params = told.load_input_example_params(str(folder))
    (answer,) = model.predict(told.load_input_example(str(folder)), params)
    assert max(pixels(answer.heatmap).shape) == params["map_size"]
    assert model.predict([example_picture()], params) == [answer]


def test_a_clip_that_is_not_here_is_named_with_the_remedy(folder: Path) -> None:
    shutil.rmtree("data/weights/default")
    with pytest.raises(
        mlflow.exceptions.MlflowException, match=r"needs tiny \(openai\).*copy its folder data/weights to"
    ):
        mlflow.pyfunc.load_model(str(folder))
