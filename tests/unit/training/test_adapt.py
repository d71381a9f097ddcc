"""Few-shot configurations from the support to the result cell, on small pictures, in a directory of their own."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zsad.common.errors import UserError
from zsad.common.io import read_json
from zsad.config.params import Params
from zsad.datasets.manifest import Manifest, Row, write_manifest
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.score import score_cell
from zsad.inference.model import load_checkpoint
from zsad.inference.pictures.options import Options
from zsad.inference.pictures.run import predict_pictures
from zsad.inference.predict import predict
from zsad.inference.stored import PREDICTIONS, Predictions
from zsad.learners.lookup import learner_class, methods
from zsad.training import adapt as adapting
from zsad.training import checkpoint, passes
from zsad.training.record import SCRATCH
from zsad.training.train import train

FEW_SHOT = [method for method in methods() if learner_class(method).few_shot]
SHORT: dict[str, dict[str, Any]] = {
    "apt": {"epochs": 2, "round_epochs": 1, "synthetic": 2, "held_out": 2},
    "promptad": {"epochs": 2},
    "winclip_plus": {"scales": [2]},
}
CHECKPOINT = Path("data/checkpoints/mine/target")
SIDE = 48


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone: Any) -> None:
    """Two categories with three normal training pictures each, and one, `bolt`, without any."""
    monkeypatch.chdir(tmp_path)
    Path("data/weights").mkdir(parents=True)
    Path("data/weights/default").symlink_to(backbone(family="other"))
    write_target(("nut", "cup"))


def write_target(with_training: tuple[str, ...]) -> Manifest:
    root, rows = Path("pictures"), []
    for number, category in enumerate(("nut", "cup", "bolt")):
        (root / category).mkdir(parents=True, exist_ok=True)
        splits = [("train", 0)] * 3 * (category in with_training) + [("test", 0), ("test", 1)] * 2
        rows += [write_row(root, category, i, *kind, seed=10 * number + i) for i, kind in enumerate(splits)]
    facts: dict[str, Any] = {"has_image_labels": True, "has_pixel_labels": True, "size": (SIDE, SIDE)}
    manifest = Manifest(
        "target", "folder", "parts", root, **facts, mask_rule="gt127", hash="h", counts={}, notes=(), rows=tuple(rows)
    )
    write_manifest(manifest)
    return manifest


def write_row(root: Path, category: str, index: int, split: str, label: int, seed: int) -> Row:
    pixels = np.random.RandomState(seed).randint(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    mask = ""
    if label:
        pixels[10:30, 10:30] = (250, 10, 10)
        mask = f"{category}/{index}_mask.png"
        values = np.zeros((SIDE, SIDE), np.uint8)
        values[10:30, 10:30] = 255
        Image.fromarray(values).save(root / mask)
    Image.fromarray(pixels).save(root / category / f"{index}.png")
    return Row(f"{category}/{index}.png", category, f"steel {category}", label, mask, split, "", SIDE, SIDE, f"{seed}")


def params(method: str, shots: int = 2, seeds: tuple[int, ...] = (0, 1), **settings: Any) -> Params:
    return Params.model_validate(
        {
            "seeds": list(seeds),
            "device": "cpu",
            "batch_size": 5,
            "backbones": {"default": {"name": "tiny", "pretrained": "other", "image_size": SIDE}},
            "sources": {},
            "datasets": {"target": {"path": "pictures"}},
            "learners": {},
            "few_shot": {"mine": {"method": method, "shots": shots, **SHORT.get(method, {}), **settings}},
            "gate": {"cell": {}, "mean": {}},
        }
    )


def run(method: str, report: Any = lambda event, **fields: None, **settings: Any) -> dict[str, bytes]:
    """Adapt; the bytes of every file of the cell, by name."""
    assert adapting.adapt(params(method, **settings), "mine", "target", report)
    return {path.name: path.read_bytes() for path in CHECKPOINT.iterdir()}


def silent(event: str, **fields: Any) -> None:
    """A report that nobody reads."""


@pytest.mark.parametrize("method", FEW_SHOT)
def test_from_support_to_result(method: str) -> None:
    parameters = params(method)
    assert adapting.adapt(parameters, "mine", "target", silent)
    predict(parameters, "mine", "target")
    cell = score_cell(parameters, "mine", "target")
    assert (cell["shots"], cell["source"], cell["seeds"]) == (2, None, [0, 1])
    assert cell["categories"]["bolt"]["reason"] == "no normal training pictures"
    assert all(cell["categories"]["bolt"][metric] is None for metric in METRICS)
    assert all(cell["categories"]["nut"][metric] is not None for metric in METRICS)
    assert "reason" not in cell["categories"]["nut"]
    assert cell["undefined"] == dict.fromkeys(METRICS, 1)
    both = [cell["categories"][name]["pixel_ap"] for name in ("nut", "cup")]
    assert cell["mean"]["pixel_ap"] == pytest.approx(sum(both) / 2, abs=2e-6)


@pytest.mark.parametrize("method", FEW_SHOT)
def test_same_seed_same_bytes_even_after_an_interruption(method: str) -> None:
    whole = run(method)
    assert set(whole) == {"checkpoint.json", "pictures.json", "seed_0.safetensors", "seed_1.safetensors"}
    assert whole["seed_0.safetensors"] != whole["seed_1.safetensors"]
    encoded: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        write = adapting.write_tensors

        def killed(path: Path, *rest: Any) -> None:
            write(path, *rest)
            encoded.append(path.parent.name + path.stem)
            if len(encoded) == 3:  # within the second seed
                raise KeyboardInterrupt

        patch.setattr(adapting, "write_tensors", killed)
        with pytest.raises(KeyboardInterrupt):
            run(method)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapting, "write_tensors", lambda path, *rest: (encoded.append(path.stem), write(path, *rest)))
        assert run(method) == whole
    assert len(encoded) == 4  # each category under each seed once
    assert not list(Path("data/scratch/adapt/mine").glob("target/*"))


@pytest.mark.parametrize("method", FEW_SHOT)
def test_a_category_stands_alone(method: str) -> None:
    """What is learned of one category does not depend on which others there are, nor on other seeds."""
    run(method)
    both, _ = checkpoint.load_all(CHECKPOINT / "seed_1.safetensors")
    write_target(("cup",))
    run(method, seeds=(1,))
    alone, header = checkpoint.load_all(CHECKPOINT / "seed_1.safetensors")
    assert list(alone) == ["cup"] == list(header.categories or {})
    ours, others = alone["cup"].checkpoint(), both["cup"].checkpoint()
    assert ours.keys() == others.keys()
    assert all((ours[name] == others[name]).all() for name in ours)


def test_the_record_and_the_file_name_the_support() -> None:
    run("winclip_plus")
    record = read_json(CHECKPOINT / "checkpoint.json")
    assert record["left_out"] == {"bolt": "no normal training pictures"}
    assert (record["shots"], record["source"], record["seeds"]) == (2, "target", [0, 1])
    header = checkpoint.read_header(CHECKPOINT / "seed_1.safetensors")
    assert header.categories is not None
    assert header.categories["nut"]["prompt_name"] == "steel nut"
    assert header.categories["nut"]["support"] == record["support"]["1"]["nut"]
    assert all(path in ("nut/0.png", "nut/1.png", "nut/2.png") for path in record["support"]["1"]["nut"])
    drawn = {path for by_category in record["support"].values() for paths in by_category.values() for path in paths}
    assert set(read_json(CHECKPOINT / "pictures.json")["pictures"]) == drawn


def test_the_journal_tells_of_every_category_and_epoch() -> None:
    events: list[tuple[str, dict[str, Any]]] = []
    run("apt", report=lambda event, **fields: events.append((event, fields)), seeds=(3,))
    assert [event for event, _ in events] == ["start"] + ["epoch"] * 4 + ["end"]
    assert (events[0][1]["shots"], events[0][1]["dataset"]["n_images"]) == (2, 4)
    told = [(fields["category"], fields["seed"], fields["epoch"]) for event, fields in events if event == "epoch"]
    assert told == [("cup", 3, 0), ("cup", 3, 1), ("nut", 3, 0), ("nut", 3, 1)]


def test_epochs_are_run_without_subnormal_floats() -> None:
    products = []

    def report(event: str, **fields: Any) -> None:
        if event == "epoch":
            products.append(torch.full((4,), 1e-30) * 1e-10)

    run("promptad", report)
    assert products
    assert not torch.stack(products).any()
    assert (torch.full((4,), 1e-30) * 1e-10).all()


def test_pictures_are_scored_by_the_model_of_their_category() -> None:
    parameters = params("winclip_plus", seeds=(0,))
    run("winclip_plus", seeds=(0,))
    predict(parameters, "mine", "target")
    scores = Predictions.open(PREDICTIONS / "mine/target").scores(0)
    predictor = load_checkpoint(CHECKPOINT / "seed_0.safetensors", "cpu")
    tested = [f"{category}/{i}.png" for category in ("nut", "cup") for i in range(3, 7)]
    for path, score in zip(tested, scores, strict=False):
        own = predictor.predict(Path("pictures") / path, category=path.split("/")[0])
        assert own.score == pytest.approx(score, abs=1e-6)
    other = predictor.predict("pictures/nut/3.png", category="cup")
    assert abs(other.score - scores[0]) > 1e-4


def test_a_model_of_several_categories_must_be_told_which() -> None:
    run("winclip_plus", seeds=(0,))
    predictor = load_checkpoint(CHECKPOINT / "seed_0.safetensors", "cpu")
    with pytest.raises(UserError, match="one for each of: cup, nut; name the pictures' own"):
        predict_pictures(predictor, ["pictures/nut/3.png"], Path("out"))
    with pytest.raises(UserError, match="'bolt': this few-shot model was adapted to: cup, nut"):
        predict_pictures(predictor, ["pictures/nut/3.png"], Path("out"), Options(category="bolt"))
    assert not Path("out").exists()
    assert predict_pictures(predictor, ["pictures/nut/3.png"], Path("out"), Options(category="nut")).failed == 0


def test_a_model_of_one_category_need_not_be_told() -> None:
    write_target(("cup",))
    run("winclip_plus", seeds=(0,))
    predictor = load_checkpoint(CHECKPOINT / "seed_0.safetensors", "cpu")
    assert predict_pictures(predictor, ["pictures/cup/3.png"], Path("out")).failed == 0


def test_a_target_without_normal_training_pictures_has_no_number() -> None:
    write_target(())
    parameters = params("winclip_plus")
    assert not adapting.adapt(parameters, "mine", "target", silent)
    predict(parameters, "mine", "target")
    reason = Predictions.open(PREDICTIONS / "mine/target").info.reason
    assert reason is not None
    assert "nut: no normal training pictures" in reason
    cell = score_cell(parameters, "mine", "target")
    assert (cell["reason"], cell["seeds"], set(cell["mean"].values())) == (reason, [], {None})


def test_too_few_pictures_are_told_by_number() -> None:
    assert not adapting.adapt(params("winclip_plus", shots=4), "mine", "target", silent)
    assert "3 normal training pictures, 4 needed" in read_json(CHECKPOINT / "checkpoint.json")["unused"]


def test_each_track_refuses_the_methods_of_the_other() -> None:
    content = params("winclip_plus").model_dump()
    content["few_shot"]["mine"]["method"] = "cops"
    with pytest.raises(UserError, match=r"few_shot\.mine: cops learns from an auxiliary source.*under `learners`"):
        adapting.adapt(Params.model_validate(content), "mine", "target", silent)
    content["learners"], content["few_shot"] = {"mine": {"method": "apt"}}, {}
    with pytest.raises(UserError, match=r"learners\.mine: apt is adapted to a target.*under `few_shot`"):
        train(Params.model_validate(content), "mine", "target", silent)


def test_each_command_names_the_other() -> None:
    with pytest.raises(UserError, match="zsad adapt mine"):
        train(params("winclip_plus"), "mine", "target", silent)
    content = params("winclip_plus").model_dump()
    content["learners"] = {"floor": {"method": "clip_zero"}}
    with pytest.raises(UserError, match="zsad train floor"):
        adapting.adapt(Params.model_validate(content), "floor", "target", silent)


def test_a_loss_that_is_not_finite_is_named() -> None:
    with pytest.raises(
        UserError, match=r"few_shot\.mine on target, cup, seed 0: epoch .*not finite.*few_shot\.mine\.lr"
    ):
        run("apt", lr=1e30)
    assert not CHECKPOINT.exists()


def test_a_second_process_is_refused() -> None:
    lock = SCRATCH / "adapt/mine/target.lock"
    lock.parent.mkdir(parents=True)
    script = (
        f"from filelock import FileLock\nwith FileLock({str(lock)!r}):\n    print('held', flush=True)\n    input()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=r"mine/target\.lock: another process"):
            run("winclip_plus")
        other.communicate("\n")


@pytest.mark.parametrize("settings", [{"method": "promptad"}, {"method": "apt", "class_token": "class_name"}], ids=str)
def test_a_class_name_that_is_too_long_is_told_before_anything_breaks(settings: dict[str, Any]) -> None:
    manifest = write_target(("cup",))
    long = tuple(replace(row, prompt_name="word " * 80) for row in manifest.rows)
    write_manifest(replace(manifest, rows=long))
    with pytest.raises(UserError, match=r"few_shot\.mine on target, cup, seed 0: class name 'word .* shorter name"):
        run(settings.pop("method"), **settings)


NAMINGS = {"missing": "object", "wrong": "other"}
WHO_ADAPTS_TO_NAMES = [
    *(({"method": method}, method == "promptad") for method in FEW_SHOT),
    ({"method": "apt", "class_token": "class_name"}, True),
]


@pytest.mark.parametrize(("settings", "reads"), WHO_ADAPTS_TO_NAMES, ids=str)
def test_a_method_says_whether_it_adapts_to_the_class_name(settings: dict[str, Any], reads: bool) -> None:
    def adapted() -> dict[str, torch.Tensor]:
        run(**settings, seeds=(0,))
        learner = checkpoint.load_all(CHECKPOINT / "seed_0.safetensors")[0]["cup"]
        assert learner.adapts_to_name is reads
        return learner.checkpoint()

    own = adapted()
    manifest = write_target(("cup",))
    write_manifest(replace(manifest, rows=tuple(replace(row, prompt_name="object") for row in manifest.rows)))
    other = adapted()
    assert any(not torch.equal(own[name], other[name]) for name in own) is reads


@pytest.mark.parametrize("method", ["promptad", "winclip_plus"])
def test_other_class_names_are_scored_beside_the_sets_own(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the name when it adapts, or when it scores; results under the own names are the same bytes."""
    plain, named = params(method), params(method).model_copy(update={"class_names": NAMINGS})
    cells, files, encoded = [], [], []
    encode = passes.encode_images_for
    monkeypatch.setattr(passes, "encode_images_for", lambda clip, *rest: (encoded.append(1), encode(clip, *rest))[1])
    for parameters in (plain, named):
        assert adapting.adapt(parameters, "mine", "target", silent)
        predict(parameters, "mine", "target")
        cells.append(score_cell(parameters, "mine", "target"))
        places = (CHECKPOINT, PREDICTIONS / "mine/target")
        files.append({path: path.read_bytes() for place in places for path in place.iterdir() if path.is_file()})
    assert files[0] == files[1]
    assert len(encoded) == 2 * 3  # three batches each time: pictures are encoded once for all namings
    changes = cells[1].pop("class_names")
    assert cells[0] == cells[1]
    assert set(changes) == set(NAMINGS)
    places = [PREDICTIONS / "mine/target" / part for part in ("", "class_names/missing")]
    own, other = (Predictions.open(place).scores(0)[:8] for place in places)  # of nut and cup; bolt has no model
    first, size = changes["missing"]["per_seed"]["0"], abs(own - other).mean()
    assert first["score"] == pytest.approx(size, abs=1e-6)
    assert first["score_sd"] == pytest.approx(size / own.std(), abs=1e-6)
    assert changes["missing"]["mean"]["score"] > 1e-5
    assert changes["wrong"]["mean"]["pixel_auroc"] is not None


def test_names_are_read_from_the_checkpoint_that_was_adapted_to_them() -> None:
    assert adapting.adapt(params("promptad"), "mine", "target", silent)
    named = params("promptad").model_copy(update={"class_names": NAMINGS})
    with pytest.raises(UserError, match="class_names/missing: no models there; run `zsad adapt mine target`"):
        predict(named, "mine", "target")
    assert not PREDICTIONS.exists() or not list(PREDICTIONS.rglob("prediction.json"))


def test_a_long_category_name_needs_no_long_file_name() -> None:
    manifest = write_target(("cup",))
    name = "c" * 250
    rows = tuple(replace(row, category=name) for row in manifest.rows if row.category == "cup")
    write_manifest(replace(manifest, rows=rows))
    run("winclip_plus", seeds=(0,))
    assert list(checkpoint.load_all(CHECKPOINT / "seed_0.safetensors")[0]) == [name]
