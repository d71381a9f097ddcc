"""Training and predictions from features in the store end in the same bytes as without one."""

import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.workplace import params as small_params
from tests.helpers.workplace import workplace as prepared
from zsad.clip import backbone as towers
from zsad.clip.backbone import FeatureSpec
from zsad.config.params import Params
from zsad.config.schema import BackboneParams, DatasetParams, LearnerParams
from zsad.datasets.manifest import load_manifest, write_manifest
from zsad.inference.predict import predict
from zsad.learners.lookup import learner_class
from zsad.training import passes
from zsad.training.feature_store import FEATURES, FeatureStore
from zsad.training.others import read_in_prediction, read_in_training
from zsad.training.passes import Pass
from zsad.training.stored_features import feature_batches, stored_features
from zsad.training.train import train

COUNT = 6


@pytest.fixture
def workplace(tmp_path: Path, backbone: Any) -> Iterator[Path]:
    with prepared(tmp_path, backbone(family="other"), COUNT):
        source = load_manifest("source")
        rows = tuple(replace(row, pixel_hash=f"target {row.pixel_hash}") for row in source.rows)
        write_manifest(replace(source, dataset="target", rows=rows))
        yield tmp_path


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the batches that went through the image tower."""
    sizes: list[int] = []

    def encode(clip: Any, images: np.ndarray, specs: Sequence[FeatureSpec], precision: str) -> Any:
        sizes.append(len(images))
        return towers.encode_images_for(clip, images, specs, precision)

    monkeypatch.setattr(passes, "encode_images_for", encode)
    return sizes


def configured(method: str, gib: float) -> Params:
    params = small_params(method, 48, "cpu", 1)
    datasets = {**params.datasets, "target": DatasetParams(path="pictures", source="source")}
    return params.model_copy(update={"feature_store": gib, "batch_size": 4, "datasets": datasets})


def run(params: Params) -> dict[str, bytes]:
    """Train and predict; every file of both."""
    train(params, "mine", "source", lambda event, **fields: None)
    predict(params, "mine", "target")
    folders = Path("data/checkpoints"), Path("data/predictions")
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("method", "first"),
    [
        ("clip_zero", [4, 2]),
        ("bayes_pfl", [4, 2, 4, 2]),  # training reads a view of each picture
        ("adapt_clip", [4, 2, 1, 4, 2]),  # and one normal picture to compare with
    ],
)
def test_same_bytes_from_the_store(workplace: Path, encoded: list[int], method: str, first: list[int]) -> None:
    without = run(configured(method, 0))
    assert not FEATURES.exists()
    encoded.clear()
    assert run(configured(method, 1)) == without
    assert encoded == first
    encoded.clear()
    assert run(configured(method, 1)) == without
    assert encoded == []
    assert not list(FEATURES.glob("*/.*.part"))


def test_another_learner_of_the_same_streams_runs_no_tower(workplace: Path, encoded: list[int]) -> None:
    """clip_zero reads the class token in another form, and both forms are kept."""
    run(configured("clip_zero", 1))
    assert {path.stem for path in FEATURES.glob("target_*/*.npy")} == {"cls_alone", "cls_post_alone", "patches_vv1"}
    encoded.clear()
    run(configured("anomalyclip", 1))
    assert encoded == [4, 2]  # the source, to train on
    run(configured("faprompt", 1))
    assert encoded == [4, 2]


def together(params: Params, **more: dict[str, Any]) -> Params:
    """Beside `mine`, configurations of other methods."""
    learners = {**params.learners, **{key: LearnerParams.model_validate(block) for key, block in more.items()}}
    return params.model_copy(update={"learners": learners})


def test_one_pass_serves_learners_of_other_streams(workplace: Path, encoded: list[int]) -> None:
    """cops begins its V-V stream elsewhere, bayes_pfl reads blocks, winclip's windows are work of their own."""
    others = {"cops": {"epochs": 1}, "bayes_pfl": {"epochs": 1}, "winclip": {}}
    without = run(configured("anomalyclip", 0))
    encoded.clear()
    assert run(together(configured("anomalyclip", 1), **others)) == without
    assert encoded == [4, 2, 4, 2]
    of_source, of_target = ({path.stem for path in FEATURES.glob(f"{name}_*/*.npy")} for name in ("source", "target"))
    blocks = {name for name in of_target if name.startswith("layer_")}
    assert {"patches_vv0", "patches_vv1", "cls_alone", "cls_post_alone", "cls", "cls_post"} <= of_target
    assert len(blocks) == 4
    assert of_source == of_target - blocks - {"cls", "cls_post"}  # bayes_pfl is trained on views
    for method, views in (("cops", []), ("bayes_pfl", [4, 2])):
        alone = run(configured(method, 0))
        encoded.clear()
        assert run(configured(method, 1)) == alone
        assert encoded == views


def test_what_others_read_pushes_nothing_out_and_goes_first(tmp_path: Path, clip: Any, pictures: torch.Tensor) -> None:
    one_file = 128 + 4 * 12 * clip.joint_width  # a class token of twelve pictures, or one window that holds them all
    cls, window = FeatureSpec(cls=True), FeatureSpec(windows=(clip.grid,))

    def ask(files: int, name: str, others: tuple[FeatureSpec, ...] = ()) -> set[str]:
        one = Pass(clip, cls, "fp32", 12, False, name, [str(i) for i in range(12)])
        store = FeatureStore(tmp_path, files * one_file)
        batches = [(range(12), pictures.numpy())]
        assert stored_features([store], one, lambda: iter(batches), name, others=lambda: others)
        return {f"{path.parent.name[0]}/{path.stem}" for path in tmp_path.glob("*/*.npy")}

    own = {name: {f"{name}/cls_alone", f"{name}/cls_post_alone"} for name in "abc"}
    assert ask(4, "a") == own["a"]
    assert ask(4, "b", (window,)) == own["a"] | own["b"]  # five would want room
    shutil.rmtree(next(tmp_path.glob("b_*")))
    assert ask(5, "b", (window,)) == own["a"] | own["b"] | {"b/window_9"}
    left = ask(5, "c")
    assert len(left) == 5
    assert own["b"] | own["c"] < left  # the window has gone, and the longest unused


def test_a_file_that_only_masks_are_missing_from(workplace: Path, encoded: list[int]) -> None:
    """What lies beside views is made with them: the tower runs again, and writes nothing of what is there."""
    first = run(configured("bayes_pfl", 1))
    (masks,) = FEATURES.glob("source_*/masks.npy")
    masks.unlink()
    encoded.clear()
    assert run(configured("bayes_pfl", 1)) == first
    assert encoded == [4, 2]
    assert masks.is_file()


def test_only_those_whose_pictures_go_the_same_way(workplace: Path, clip: Any) -> None:
    """Another activation, other positions or another size are another tower, and `paper` resizes otherwise."""
    own = configured("clip_zero", 1)
    small = {"small": BackboneParams(name="any", pretrained="any", image_size=40)}
    params = together(
        own.model_copy(update={"backbones": {**own.backbones, **small}}),
        cops={"epochs": 1},
        sized={"method": "cops", "epochs": 1, "backbone": "small"},
        paper={"method": "anomalyclip", "epochs": 1, "protocol": "paper"},
        bayes_pfl={"epochs": 1},
        elsewhere={"method": "faprompt", "epochs": 1, "source": "target"},
    )
    (workplace / "data/weights/small").symlink_to(workplace / "data/weights/default")
    before = torch.random.get_rng_state()
    assert [spec.vv_start for spec in read_in_prediction(params, "mine", clip)] == [0, None, 1]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert [spec.vv_start for spec in read_in_training(params, "mine", "source", clip)] == [0]
    assert read_in_prediction(params, "gone", clip) == []


def test_who_cannot_be_asked_is_told_of_and_left_out(
    workplace: Path, clip: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A method that has no spec yet, one that cannot be imported, a backbone that is not prepared."""
    monkeypatch.setattr(learner_class("cops"), "spec", property(lambda self: self.not_yet))
    monkeypatch.setitem(sys.modules, "zsad.learners.winclip", None)
    own = configured("clip_zero", 1)
    bare = {"bare": BackboneParams(name="any", pretrained="any", image_size=48)}
    params = together(
        own.model_copy(update={"backbones": {**own.backbones, **bare}}),
        cops={"epochs": 1},
        winclip={},
        afar={"method": "anomalyclip", "epochs": 1, "backbone": "bare"},
        faprompt={"epochs": 1},
    )
    assert [spec.vv_start for spec in read_in_prediction(params, "mine", clip)] == [1]
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in told] == ["cops", "winclip", "afar"]
    (workplace / "data/weights/default").unlink()
    assert read_in_prediction(params, "mine", clip) == []
    assert "mine: frozen features are kept for it alone" in capsys.readouterr().err


@pytest.mark.parametrize(("method", "same"), [("bayes_pfl", False), ("faprompt", True)])
def test_openais_weights_run_with_the_methods_activation(
    tmp_path: Path, backbone: Any, clip: Any, method: str, same: bool
) -> None:
    with prepared(tmp_path, backbone(), COUNT):
        found = read_in_prediction(together(configured("clip_zero", 1), other={"method": method}), "mine", clip)
    assert bool(found) == same


def test_a_budget_that_does_not_hold_them_changes_no_byte(workplace: Path, encoded: list[int]) -> None:
    without = run(configured("anomalyclip", 0))
    encoded.clear()
    assert run(configured("anomalyclip", 1e-6)) == without
    assert encoded == [4, 2, 4, 2]
    assert not list(FEATURES.glob("*/*"))


def test_what_decides_bits_is_in_the_name_of_the_folder(clip: Any) -> None:
    one = Pass(clip, FeatureSpec(cls=True), "fp32", 8, False, "parts", ["a", "b"])
    others = [
        replace(one, precision="bf16"),
        replace(one, batch=4),
        replace(one, resize_first=True),
        replace(one, pictures=["b", "a"]),
        replace(one, views=2),
        replace(one, viewed="x"),
        replace(one, spec=FeatureSpec(bgr=True)),
        replace(one, clip=replace(clip, sha256="other")),
        replace(one, clip=replace(clip, activation="gelu")),
        replace(
            one, clip=replace(clip, image=replace(clip.image, positional_embedding=clip.image.positional_embedding + 1))
        ),
    ]
    assert len({other.folder for other in [one, *others]}) == 1 + len(others)
    assert replace(one, spec=FeatureSpec(vv_start=1, layers=(2,))).folder == one.folder
    assert one.folder.startswith("parts_")


def test_two_that_want_the_same_at_once_compute_it_once(tmp_path: Path, clip: Any, pictures: Any) -> None:
    one = Pass(clip, FeatureSpec(cls=True), "fp32", 6, False, "parts", [str(i) for i in range(12)])
    started, taken = threading.Event(), []

    def batches() -> Iterator[tuple[range, np.ndarray]]:
        taken.append(threading.current_thread().name)
        started.set()
        waiting.join(0.5)  # the other one comes to the door meanwhile
        for start in (0, 6):
            yield range(start, start + 6), pictures[start : start + 6].numpy()

    def second() -> None:
        assert started.wait(30)
        found.append(stored_features([FeatureStore(tmp_path)], one, batches, "second"))

    found: list[Any] = []
    waiting = threading.Thread(target=second, name="second")
    waiting.start()
    streamed = list(feature_batches([FeatureStore(tmp_path)], one, batches, "first"))
    waiting.join(30)
    assert taken == [threading.main_thread().name]
    assert [where for where, _ in streamed] == [range(6), range(6, 12)]
    assert found[0].get(range(12), clip.device).cls.tolist() == [
        *streamed[0][1].cls.tolist(),
        *streamed[1][1].cls.tolist(),
    ]
