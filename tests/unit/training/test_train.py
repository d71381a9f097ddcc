"""The training loop on a handful of small pictures, in a directory of its own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load

from zsad.common.errors import UserError
from zsad.common.io import read_json
from zsad.config.params import Params
from zsad.datasets.manifest import Manifest, Row, write_manifest
from zsad.learners.base import Cosine
from zsad.learners.lookup import learner_class, methods
from zsad.training import loop
from zsad.training import train as trainer
from zsad.training.record import SCRATCH, read_record

# Two stages of one epoch each: an interruption after the first epoch is one between the stages.
SHORT = {
    "aa_clip": {"text_epochs": 1, "epochs": 1, "augmented_views": 2},
    "ada_clip": {"lr": 0.001},  # two steps at the official rate do not come down
    "bayes_pfl": {"epochs": 1, "classifier_epochs": 1, "augmented_views": 2},
}
TRAINED = [method for method in methods() if learner_class(method).trained and not learner_class(method).few_shot]
CHECKPOINT = Path("data/checkpoints/mine/source")


@pytest.fixture
def workplace(tmp_path, monkeypatch, backbone):
    """A working directory with a backbone and an auxiliary set of three normal and three anomalous pictures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/weights").mkdir(parents=True)
    (tmp_path / "data/weights/default").symlink_to(backbone(family="other"))
    write_source(tmp_path / "pictures")
    return tmp_path


def write_source(root, masked=True):
    generator, rows = np.random.RandomState(0), []
    root.mkdir(exist_ok=True)
    for i in range(6):
        pixels = generator.randint(0, 256, (48, 48, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / f"{i}.png")
        mask = np.zeros((48, 48), np.uint8)
        mask[4 * i : 4 * i + 12, 10:30] = 255
        Image.fromarray(mask).save(root / f"{i}_mask.png")
        name = f"{i}_mask.png" if i % 2 and masked else ""
        rows.append(Row(f"{i}.png", "c", "cloth", i % 2, name, "test", "", 48, 48, f"{i}"))
    rows.append(Row("normal.png", "c", "cloth", 0, "", "train", "", 48, 48, "n"))
    Image.fromarray(generator.randint(0, 256, (48, 48, 3)).astype(np.uint8)).save(root / "normal.png")
    facts = {"has_image_labels": True, "has_pixel_labels": masked, "size": (48, 48), "mask_rule": "gt127"}
    counts = {"c": {"train": 1, "normal": 3, "anomalous": 3}}
    write_manifest(
        Manifest("source", "folder", "d", root, hash="h", counts=counts, notes=(), rows=tuple(rows), **facts)
    )


def params(method, seeds=(0,), **settings):
    if learner_class(method).trained:
        settings = {"epochs": 2, "train_batch_size": 4, **SHORT.get(method, {}), **settings}
    return Params.model_validate(
        {
            "seeds": list(seeds),
            "device": "cpu",
            "backbones": {"default": {"name": "tiny", "pretrained": "other", "image_size": 48}},
            "sources": {"source": {}},
            "datasets": {"source": {"kind": "folder", "path": "pictures"}},
            "learners": {"mine": {"method": method, **settings}},
            "gate": {"cell": {}, "mean": {}},
        }
    )


def run(method, report=lambda event, **fields: None, **settings):
    """Train and return the bytes of every file of the checkpoint, by name."""
    assert trainer.train(params(method, **settings), "mine", "source", report)
    return {path.name: path.read_bytes() for path in CHECKPOINT.iterdir()}


def interrupt_after(epochs):
    """A report that raises once `epochs` epochs are done."""

    def report(event, **fields):
        if event == "epoch" and (fields["seed"], fields["epoch"] + 1) == (1, epochs):
            raise KeyboardInterrupt

    return report


@pytest.mark.parametrize("method", TRAINED)
def test_same_seed_same_bytes_even_after_an_interruption(workplace, method):
    events = []
    whole = run(method, seeds=(0, 1), report=lambda event, **fields: events.append((event, fields)))
    assert set(whole) == {"checkpoint.json", "pictures.json", "seed_0.safetensors", "seed_1.safetensors"}
    assert whole["seed_0.safetensors"] != whole["seed_1.safetensors"]
    (CHECKPOINT / "seed_0.safetensors").unlink()
    with pytest.raises(KeyboardInterrupt):
        run(method, seeds=(0, 1), report=interrupt_after(1))
    assert {path.name for path in CHECKPOINT.iterdir()} == {"checkpoint.json", "pictures.json", "seed_1.safetensors"}
    later = []
    again = run(method, seeds=(0, 1), report=lambda event, **fields: later.append((event, fields)))
    assert again == whole
    assert [fields["epoch"] for event, fields in later if event == "epoch"] == [1]  # only what was missing
    losses = [fields["losses"] for event, fields in events if event == "epoch"]
    assert len(losses) == 4
    if "text_epochs" not in SHORT.get(method, {}):  # its stages minimise different things
        assert losses[1]["loss"] < losses[0]["loss"]
    assert [event for event, _ in events] == ["start"] + ["epoch"] * 4 + ["end"]
    assert not list(Path("data/scratch/train/mine").glob("source/*"))


@pytest.mark.parametrize("done", [1, 2, 3])
def test_resuming_before_at_and_after_the_boundary_of_two_stages(workplace, done):
    """Stages of two and two epochs; learning rates follow a cosine in the first."""
    settings = {"seeds": (1,), "epochs": 2, "classifier_epochs": 2}
    whole = run("bayes_pfl", **settings)
    with pytest.raises(KeyboardInterrupt):
        run("bayes_pfl", report=interrupt_after(done), **settings)
    later = []
    assert run("bayes_pfl", report=lambda event, **fields: later.append((event, fields)), **settings) == whole
    assert [fields["epoch"] for event, fields in later if event == "epoch"] == list(range(done, 4))


def test_a_stage_has_a_batch_size_of_its_own(workplace, monkeypatch):
    """Six pictures: two steps of three each in the text stage, three steps of two in the other."""
    sizes = []
    right = loop.SourceData.batch
    monkeypatch.setattr(loop.SourceData, "batch", lambda self, e: sizes.append(len(e)) or right(self, e))
    run("aa_clip", text_batch_size=3, train_batch_size=2)
    assert sizes == [3, 3, 2, 2, 2]


def test_each_stage_moves_its_own_parameters_only(workplace, monkeypatch):
    states = []

    def spy(learner, *rest):
        states.append({name: value.detach().clone() for name, value in learner.named_parameters()})

    monkeypatch.setattr(loop, "_save_state", spy)
    run("bayes_pfl", epochs=2, classifier_epochs=1, train_batch_size=3)
    first, second, last = states
    stages = [
        {name.split(".")[0] for name in a if not torch.equal(a[name], b[name])}
        for a, b in ((first, second), (second, last))
    ]
    assert stages[1] == {"class_mapping", "image_mapping", "fuse"}
    assert stages[0] == {name.split(".")[0] for name in first} - {"image_mapping", "fuse"}


def test_cosine_schedule():
    """Three epochs of ten steps, a tenth of them warm-up: 0, 1/3, 2/3, then from 1 down to 0."""
    schedule = Cosine(3, 0.1)
    factors = [schedule.factor(step, 10) for step in range(31)]
    assert factors[:4] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert (factors[12], factors[21]) == (pytest.approx(0.75), pytest.approx(0.25))
    assert factors[30] == 0
    assert schedule.factor(40, 10) == 0
    assert Cosine(1, 0.0).factor(0, 5) == 1


@pytest.mark.parametrize("spoil", ["change", "gradient"])
def test_clip_that_does_not_stay_frozen_is_a_fault(workplace, monkeypatch, spoil):
    from zsad.training.features import SourceData

    batch = SourceData.batch

    def spoiling(self, entries):
        weight = self.clip.text.blocks[1].mlp.c_fc.weight
        if spoil == "change":
            weight.data[3, 5] += 1e-3
        else:
            weight.requires_grad_(True)
        return batch(self, entries)

    monkeypatch.setattr(SourceData, "batch", spoiling)
    with pytest.raises(RuntimeError, match=r"clip\.text\.blocks\.1\.mlp\.c_fc\.weight"):
        run("anomalyclip", epochs=1)
    assert not CHECKPOINT.exists()


def test_record_and_file_agree(workplace):
    run("anomalyclip", seeds=(0, 5))
    record = read_json(CHECKPOINT / "checkpoint.json")
    assert record["seeds"] == [0, 5]
    assert record["trained"] is True
    assert record["settings"]["epochs"] == 2
    assert record["settings"]["context_length"] == 12
    from zsad.common.io import file_sha256
    from zsad.training import checkpoint

    for seed in record["seeds"]:
        path = CHECKPOINT / f"seed_{seed}.safetensors"
        assert record["files"][str(seed)] == file_sha256(path)
        learner, header = checkpoint.load(path)
        assert header.seed == seed
        assert header.backbone == record["backbone"]
        assert learner.clip.activation == "quickgelu"


def test_seeds_do_not_depend_on_each_other(workplace):
    """Seed 1 trained alone is the same file as seed 1 trained after seed 0."""
    together = run("cops", seeds=(0, 1), epochs=1)["seed_1.safetensors"]
    parameters = params("cops", seeds=(0, 1), epochs=1)
    trainer.train(parameters, "mine", "source", lambda event, **fields: None, seeds=[1])
    assert (CHECKPOINT / "seed_1.safetensors").read_bytes() == together


def test_each_epoch_has_its_own_order_and_keeps_the_partial_batch(workplace, monkeypatch):
    from zsad.training.features import SourceData

    seen, batch = [], SourceData.batch
    monkeypatch.setattr(SourceData, "batch", lambda self, indices: (seen.append(indices), batch(self, indices))[1])
    run("anomalyclip", seeds=(0, 1))
    assert [len(indices) for indices in seen] == [4, 2] * 4  # two seeds of two epochs
    orders = [seen[i] + seen[i + 1] for i in range(0, 8, 2)]
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4


def test_steps_are_taken_without_subnormal_floats(workplace, monkeypatch):
    """Gradients hold them, and a product with them takes a hundred times as long."""
    from zsad.training.features import SourceData

    products, batch = [], SourceData.batch

    def spy(self, indices):
        products.append(torch.full((4,), 1e-30) * 1e-10)
        return batch(self, indices)

    monkeypatch.setattr(SourceData, "batch", spy)
    run("anomalyclip")
    assert products
    assert not torch.stack(products).any()
    assert (torch.full((4,), 1e-30) * 1e-10).all()


def test_each_seed_starts_elsewhere(workplace):
    files = run("anomalyclip", seeds=(0, 1), epochs=0)
    tensors = [load(files[f"seed_{seed}.safetensors"]) for seed in (0, 1)]
    assert not any(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


def test_untrained_method_writes_one_seed(workplace):
    files = run("clip_zero", seeds=(3, 4))
    assert set(files) == {"checkpoint.json", "pictures.json", "seed_3.safetensors"}
    assert read_json(CHECKPOINT / "checkpoint.json")["trained"] is False


def test_loss_that_is_not_finite_is_named(workplace):
    with pytest.raises(UserError, match=r"learners\.mine seed 0 epoch .*not finite.*lower learners\.mine\.lr"):
        run("cops", lr=1e30)
    assert not CHECKPOINT.exists()


def test_parameters_that_end_up_infinite_are_not_saved(workplace, monkeypatch):
    """The last step may spoil the parameters after every loss was finite."""

    class Spoiling(torch.optim.Adam):
        def step(self, *arguments, **options):
            super().step(*arguments, **options)
            self.param_groups[0]["params"][0].data.view(-1)[0] = float("inf")

    monkeypatch.setattr(torch.optim, "Adam", Spoiling)
    with pytest.raises(UserError, match=r"not finite.*lower learners\.mine\.lr"):
        run("cops", epochs=1, train_batch_size=6)
    assert not CHECKPOINT.exists()


def test_second_process_is_refused(workplace):
    lock = SCRATCH / "train/mine/source.lock"
    lock.parent.mkdir(parents=True)
    script = (
        f"from filelock import FileLock\nwith FileLock({str(lock)!r}):\n    print('held', flush=True)\n    input()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=r"mine/source\.lock: another process is training this cell"):
            run("anomalyclip")
        other.communicate("\n")
    assert run("anomalyclip", epochs=1)


def test_source_without_masks_is_refused(workplace):
    write_source(workplace / "pictures", masked=False)
    with pytest.raises(UserError, match=r"sources\.source: training needs anomalous test images with masks"):
        run("anomalyclip")


def test_typing_error_in_another_configuration_shows_at_once(workplace):
    raw = params("anomalyclip").model_dump()
    raw["learners"]["cops"] = {"epochz": 1}
    with pytest.raises(UserError, match=r"learners\.cops\.epochz"):
        trainer.train(Params.model_validate(raw), "mine", "source", lambda event, **fields: None)


def test_source_that_the_configuration_does_not_use(workplace):
    parameters = params("anomalyclip", source="source")
    parameters = parameters.model_copy(
        update={"sources": {**parameters.sources, "other": parameters.sources["source"]}}
    )
    assert not trainer.train(parameters, "mine", "other", lambda event, **fields: None)
    told = {"learner": "mine", "source": "other", "unused": "mine names source as its source"}
    hashed = {"config_hash": parameters.configuration("mine").hash(parameters)}
    assert read_json(Path("data/checkpoints/mine/other/checkpoint.json")) == {**told, **hashed}
    assert read_record("mine", "other").unused == told["unused"]
