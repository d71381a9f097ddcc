"""The official side on a repository of the test's own, with the names of AnomalyCLIP's."""

import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zsad.common.errors import UserError
from zsad.pipeline.bench.against.case import BATCH, INFERENCE, PICTURES, TRAINING, Case
from zsad.pipeline.bench.against.repository import Edit, Run, edited

SIDE = 8
FILES = {
    "AnomalyCLIP_lib/__init__.py": "def load(name, device, design_details): raise RuntimeError('a download')",
    "AnomalyCLIP_lib/build_model.py": """
        import torch
        def build_model(name, state, details):
            model = torch.nn.Module()
            model.scale = state["scale"]
            return model
        """,
    "prompt_ensemble.py": """
        import torch
        from thop import profile
        class AnomalyCLIP_PromptLearner(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.ctx_pos = torch.nn.Parameter(torch.zeros(1))
        """,
    "test.py": """
        import argparse, AnomalyCLIP_lib, torch
        from dataset import Dataset
        from metrics import image_level_metrics
        parser = argparse.ArgumentParser()
        for name in ("dataset", "checkpoint_path", "save_path"):
            parser.add_argument(f"--{name}")
        for name in ("image_size", "depth"):
            parser.add_argument(f"--{name}", type=int)
        parser.add_argument("--features_list", type=int, nargs="+")
        def test(args):
            model = AnomalyCLIP_lib.load("ViT-L", device="cpu", design_details=None)[0]
            DPAM_layer = 20
            assert (args.features_list, args.depth) == ([12], 9)
            assert dict(DPAM_layer = 20) == {"DPAM_layer": DPAM_layer}
            names = Dataset(args.dataset).obj_list
            results = {name: {"anomaly_maps": [], "pr_sp": []} for name in names}
            for item in torch.utils.data.DataLoader(None, batch_size=1):
                one = results[item["cls_name"][0]]
                one["anomaly_maps"].append(item["img"][:, 0].cuda() * model.scale + DPAM_layer)
                one["pr_sp"].extend(item["anomaly"])
            for name in names:
                results[name]["anomaly_maps"] = torch.cat(results[name]["anomaly_maps"]).numpy()
                image_level_metrics(results, name, "image-auroc")
        if __name__ == "__main__":
            test(parser.parse_args())
        """,
    "train.py": """
        import sys, torch
        from prompt_ensemble import AnomalyCLIP_PromptLearner
        DPAM_layer = 20
        DPAM_layer = 20
        DPAM_layer = 20
        learner = AnomalyCLIP_PromptLearner()
        for epoch in range(int(sys.argv[sys.argv.index("--epoch") + 1])):
            for item in torch.utils.data.DataLoader(None, batch_size=8, shuffle=True):
                assert item["img_mask"].shape == (8, 1, 8, 8)
                loss = (learner.ctx_pos * item["img"].mean()).sum() * torch.randn(1)
                loss.backward()
        """,
}


class Turns:
    """Notes what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def next(self) -> None:
        self.asked.append("next")

    def end(self) -> None:
        self.asked.append("end")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files; whatever a run changes in this process is as before afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", [*sys.argv])
    monkeypatch.setattr(sys, "modules", sys.modules)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for owner, name in (
        (torch, "randn"), (torch, "randn_like"), (torch, "randint"), (torch.utils.data, "DataLoader"),
        (torch.Tensor, "cuda"), (torch.cuda, "set_device"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, getattr(owner, name))
    for name, text in FILES.items():
        path = tmp_path / "repository" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).strip() + "\n")
    before = dict(sys.modules)
    yield tmp_path / "repository"
    for name in [*sys.modules]:
        if sys.modules[name] is not before.get(name):
            del sys.modules[name]
    sys.modules.update(before)


def run(repository: Path, what: str, turns: Turns) -> tuple[dict[str, Any], np.ndarray]:
    """Found, and the inputs."""
    from safetensors.torch import save_file

    folder = repository.parent
    (folder / "clip").mkdir()
    save_file({"scale": torch.tensor(3.0)}, folder / "clip/open_clip_model.safetensors")
    images = np.random.RandomState(0).random((PICTURES, 3, SIDE, SIDE)).astype(np.float32)
    np.save(folder / "images.npy", images)
    np.save(folder / "masks.npy", images[:, 0])
    np.save(folder / "labels.npy", np.arange(PICTURES) % 2)
    np.save(folder / "order.npy", np.arange(PICTURES)[::-1])
    torch.save({"ctx_pos": torch.tensor([2.0])}, folder / "initial.pth")
    case = Case("anomalyclip", what, str(repository), "cpu", 2, SIDE, 4, 12, 64, 2, [], 8, {})
    return Run(folder, case, turns).go(), images  # type: ignore[arg-type]


def test_inference_takes_a_turn_a_picture_and_is_recorded(repository: Path) -> None:
    turns = Turns()
    found, images = run(repository, INFERENCE, turns)
    assert turns.asked == ["next"] * PICTURES + ["end"]
    assert np.allclose(found["maps"], 3 * images[:, 0] + 11)  # of 20: V-V attention in 10 of 12 blocks
    assert found["scores"].tolist() == [0.0, 1.0] * (PICTURES // 2)
    assert not list(repository.rglob("*.pyc"))


def test_training_starts_from_the_case_and_takes_a_turn_a_step(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[float] = []
    monkeypatch.setattr(torch.Tensor, "backward", lambda loss: losses.append(loss.item()))
    turns = Turns()
    _, images = run(repository, TRAINING, turns)
    assert turns.asked == (["next"] * 2 + ["end"]) * 2
    drawn = [np.random.RandomState(step).standard_normal(1)[0] for step in range(4)]
    halves = [images[BATCH:].mean(), images[:BATCH].mean()] * 2
    assert losses == pytest.approx([2 * mean * noise for mean, noise in zip(halves, drawn, strict=True)], rel=1e-5)


def test_an_edit_that_does_not_fit_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("width = 768, 768")
    assert edited(tmp_path / "a.py", [Edit("a.py", "768", "512", 2)]) == "width = 512, 512"
    with pytest.raises(UserError, match=r"a\.py: '768' stands there 2 times, expected 1"):
        edited(tmp_path / "a.py", [Edit("a.py", "768", "512", 1)])
    with pytest.raises(UserError, match=r"b\.py: no such file"):
        edited(tmp_path / "b.py", [])
