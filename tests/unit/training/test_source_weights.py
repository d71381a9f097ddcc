"""The few-shot form of a trained learner, from the source's checkpoint to predictions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from zsad.cli import main as cli
from zsad.common.errors import UserError
from zsad.common.io import read_json
from zsad.config.params import Params
from zsad.datasets.manifest import Manifest, Row, write_manifest
from zsad.inference.predict import predict
from zsad.inference.stored import PREDICTIONS, Predictions
from zsad.training import checkpoint
from zsad.training.adapt import adapt
from zsad.training.record import read_record
from zsad.training.source_weights import source_weights
from zsad.training.train import train

SIDE = 48
FORM = Path("data/checkpoints/few")


def unheard(event: str, **fields: Any) -> None:
    pass


@pytest.fixture(scope="module")
def place(tmp_path_factory: Any, backbone: Callable[..., Path]) -> Path:
    """A source and a target of a category with two normal training pictures; `mine` is trained, `few` adapted."""
    folder: Path = tmp_path_factory.mktemp("form")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("data/weights").mkdir(parents=True)
        Path("data/weights/default").symlink_to(backbone(family="other"))
        for number, name in enumerate(("source", "target")):
            write_set(name, 100 * number)
        assert train(params(), "mine", "source", unheard)
        assert adapt(params(), "few", "target", unheard)
    return folder


@pytest.fixture(autouse=True)
def _inside(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def write_set(name: str, seed: int) -> None:
    root, rows = Path(name), []
    root.mkdir()
    for i, (split, label) in enumerate([("train", 0)] * 2 + [("test", 0), ("test", 1)] * 2):
        pixels = np.random.RandomState(seed + i).randint(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / f"{i}.png")
        mask = f"{i}_mask.png" if label else ""
        if mask:
            values = np.zeros((SIDE, SIDE), np.uint8)
            values[10:30, 10:30] = 255
            Image.fromarray(values).save(root / mask)
        rows.append(Row(f"{i}.png", "nut", "nut", label, mask, split, "", SIDE, SIDE, f"{seed + i}"))
    facts: dict[str, Any] = {"has_image_labels": True, "has_pixel_labels": True, "size": (SIDE, SIDE)}
    rest: dict[str, Any] = {"mask_rule": "gt127", "hash": "h", "counts": {}, "notes": ()}
    write_manifest(Manifest(name, "folder", "parts", root, **facts, **rest, rows=tuple(rows)))


def params(shots: int = 1) -> Params:
    own = {"method": "adapt_clip", "train_batch_size": 2, "epochs": 2, "per_source": {"source": {"epochs": 1}}}
    return Params.model_validate(
        {
            "seeds": [0, 1],
            "device": "cpu",
            "backbones": {"default": {"name": "tiny", "pretrained": "other", "image_size": SIDE}},
            "sources": {"source": {}},
            "datasets": {name: {"path": name} for name in ("source", "target")},
            "learners": {"mine": own},
            "few_shot_of": {"few": {"of": "mine", "shots": shots}},
            "gate": {"cell": {}, "mean": {}},
        }
    )


def test_each_seed_has_its_own_weights_and_memory() -> None:
    files = [load_file(FORM / f"target/seed_{seed}.safetensors") for seed in (0, 1)]
    for seed, tensors in enumerate(files):
        trained = load_file(f"data/checkpoints/mine/source/seed_{seed}.safetensors")
        assert tensors.keys() == {f"nut/{name}" for name in [*trained, "memory"]}
        assert all(torch.equal(tensors[f"nut/{name}"], value) for name, value in trained.items())
        assert tensors["nut/memory"].norm(dim=-1).allclose(torch.ones(()))
    assert not torch.equal(files[0]["nut/textual_learner.ctx_pos"], files[1]["nut/textual_learner.ctx_pos"])


def test_the_record_says_what_it_was_trained_on_and_adapted_to() -> None:
    record = read_record("few", "target")
    assert (record.source, record.auxiliary, record.training_set, record.shots) == ("target", "source", "source", 1)
    assert record.settings["epochs"] == 1  # what the weights were trained with, not what holds elsewhere
    assert set((record.support or {})["0"]["nut"]) <= {"0.png", "1.png"}
    pictures = read_json(FORM / "target/pictures.json")
    assert pictures == read_json(Path("data/checkpoints/mine/source/pictures.json"))
    assert pictures["dataset"] == "source"
    assert pictures["pictures"].keys() == {f"{i}.png" for i in range(6)}  # the normal ones it compared with, too


def test_predictions_have_source_and_shots() -> None:
    predict(params(), "few", "target")
    info = Predictions.open(PREDICTIONS / "few/target").info
    assert (info.source, info.shots, info.seeds, info.learner) == ("source", 1, [0, 1], "few")
    learners, header = checkpoint.load_all(FORM / "target/seed_1.safetensors")
    assert (list(learners), header.shots) == (["nut"], 1)


def test_the_source_itself_is_no_target() -> None:
    assert not adapt(params(), "few", "source", unheard)
    predict(params(), "few", "source")
    info = Predictions.open(PREDICTIONS / "few/source").info
    assert info.reason == "mine is trained on source"
    assert (info.source, info.shots) == ("source", 1)


def test_too_few_pictures_are_told_as_of_any_few_shot_method() -> None:
    assert not adapt(params(shots=3), "few", "target", unheard)
    assert read_record("few", "target").unused == "nut: 2 normal training pictures, 3 needed"
    assert adapt(params(), "few", "target", unheard)


def test_one_seed_of_official_weights_serves_all() -> None:
    one = source_weights(params(), params().configuration("few"), "target")
    (told := dict(one.record.__dict__))["seeds"] = [1]
    only = type(one)(type(one.record)(**told))
    tensors = load_file(FORM / "target/seed_1.safetensors")
    learners, _ = checkpoint.load_all(FORM / "target/seed_0.safetensors")
    only.put_into(learners["nut"], 0)  # type: ignore[arg-type]
    assert torch.equal(learners["nut"].state_dict()["textual_learner.ctx_pos"], tensors["nut/textual_learner.ctx_pos"])


def test_a_seed_that_was_not_trained_is_named() -> None:
    with pytest.raises(UserError, match=r"mine/source/seed_7\.safetensors: not found; run `zsad train mine source`"):
        adapt(params(), "few", "target", unheard, [7])


def test_the_command_adapts_to_all_datasets(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    seen = []
    monkeypatch.setattr("zsad.cli.training.stage_params", params)
    monkeypatch.setattr("zsad.tracking.recording.recorded", lambda run, params, *cell: seen.append(cell))
    assert cli.main(["adapt", "few"]) == 0
    assert cli.main(["adapt", "few", "target"]) == 0
    assert seen == [("few", "source", None), ("few", "target", None), ("few", "target", None)]
    with pytest.raises(UserError, match="which is not trained on a source; run `zsad adapt few`"):
        train(params(), "few", "source", unheard)
