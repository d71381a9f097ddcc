"""Pretraining: the features the learners read, the losses, determinism and resuming after an interruption."""

import copy
import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F

from zsad.clip.embedded import loader as embedded
from zsad_synthetic.pretraining import losses, model, pretrain, teacher, tokens
from zsad_synthetic.pretraining.stream import StreamConfig
from zsad_synthetic.pretraining.text_stage import TextConfig


def micro_config(steps: int = 4) -> pretrain.PretrainConfig:
    architecture = copy.deepcopy(embedded.config())
    architecture["model_cfg"]["vision_cfg"] |= {"image_size": 32, "layers": 3, "width": 64}
    architecture["model_cfg"]["text_cfg"] |= {"layers": 1, "width": 64, "heads": 1}
    architecture["model_cfg"]["embed_dim"] = 64
    stream = StreamConfig(scenes=2, pairs=2, pool=4, renders=2, side=32, early_side=24, early_steps=2)
    text = TextConfig(pages=1, steps=2, batch=4)
    return pretrain.PretrainConfig(
        steps=steps, warmup=2, save_every=1, text=text, stream=stream, architecture=architecture
    )


def losses_of(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "losses.jsonl").read_text().splitlines()]


def test_an_interrupted_run_goes_on_with_the_same_losses(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    whole, broken = (pretrain.Pretraining(micro_config(), tmp_path / name) for name in ("whole", "broken"))
    whole.run()  # its pictures are a worker's, as outside tests
    request.getfixturevalue("drawn_in_process")
    broken.run(until=2)
    with (tmp_path / "broken" / "losses.jsonl").open("a") as log:
        log.write('{"step": 3, "written": "after the last checkpoint"}\n')
    resumed = pretrain.Pretraining(micro_config(), tmp_path / "broken")
    resumed.resume()
    resumed.run()
    assert losses_of(tmp_path / "whole") == losses_of(tmp_path / "broken")
    assert [entry["step"] for entry in losses_of(tmp_path / "whole")] == [1, 2, 3, 4]


def test_an_existing_run_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pretrain.Pretraining(micro_config(), tmp_path).save()
    with pytest.raises(SystemExit) as stopped:
        pretrain.main(["--out", str(tmp_path)])
    assert stopped.value.code == 2
    assert "add --resume" in capsys.readouterr().err


def test_resuming_needs_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        pretrain.main(["--out", str(tmp_path), "--resume"])
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.usefixtures("drawn_in_process")
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    pretraining = pretrain.Pretraining(micro_config(), tmp_path)
    pretraining.model.visual.proj.data.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="step 1"):
        pretraining.run()


def test_features_are_those_of_open_clip() -> None:
    torch.manual_seed(0)
    network = model.build(embedded.config(), tokens.VOCABULARY).eval()
    pixels, text = torch.randn(2, 3, 112, 112), open_clip.tokenize(["a photo of a damaged object.", "cell"])
    with torch.no_grad():
        image = model.encode_image(network, pixels)
        assert torch.allclose(image.cls, network.encode_image(pixels), atol=1e-5)
        ends = text.argmax(1)
        assert torch.allclose(
            model.encode_text(network, text[:, : ends.max() + 1], ends), network.encode_text(text), atol=1e-5
        )


def test_value_streams_follow_their_definition() -> None:
    torch.manual_seed(0)
    network = model.build(embedded.config(), 8).eval()
    tower, pixels = network.visual, torch.randn(1, 3, 112, 112)
    with torch.no_grad():
        states = [model._embed_patches(tower, pixels)]
        for block in tower.transformer.resblocks:
            states.append(block(states[-1]))
        for stream, start in enumerate((0, 2)):
            value = states[start]
            for block, state in list(zip(tower.transformer.resblocks, states, strict=False))[start:]:
                v = F.linear(
                    block.ln_1(state), *(p[2 * 192 :] for p in (block.attn.in_proj_weight, block.attn.in_proj_bias))
                )
                heads = v.view(1, -1, 3, 64).transpose(1, 2)
                mixed = (heads @ heads.mT / 8).softmax(-1) @ heads
                value = value + block.attn.out_proj(mixed.transpose(1, 2).flatten(2))
            expected = (tower.ln_post(value) @ tower.proj)[:, 1:]
            assert torch.allclose(model.encode_image(network, pixels).patches[stream], expected, atol=1e-4)


def test_a_caption_is_positive_for_every_picture_it_is_true_of() -> None:
    shown = torch.tensor([[0, 1, -1], [1, 2, 5]])
    told = torch.tensor([[0, -1, -1], [1, 2, -1]])
    assert losses.positives(shown, told).tolist() == [[True, False], [False, True]]
    told[0, 0] = -1
    assert losses.positives(shown, told).tolist() == [[True, False], [True, True]]


def test_state_axis_is_the_logit_of_the_two_way_softmax() -> None:
    texts, feature = torch.randn(2, 6), F.normalize(torch.randn(6), dim=-1)
    axis, prototype = losses.state_axes(texts)
    pair = F.normalize(texts, dim=-1) @ feature * 14
    assert torch.allclose((14 * feature @ axis[0]).sigmoid(), pair.softmax(-1)[1], atol=1e-6)
    assert torch.allclose(axis[0], prototype)


def test_peaks_look_everywhere_in_normal_pictures_and_at_the_defect_in_others() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])[None, ..., None]
    share = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.5, 1.0]])
    assert losses.peaks(logits, share).flatten().tolist() == [3.0, 2.0]


def test_families_are_told_apart_where_the_defect_is() -> None:
    shown = losses.Shown(
        torch.ones(2, 2), torch.tensor([False, True]), torch.tensor([0, 2]), torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    )
    right = torch.full((1, 2, 2, 3), -40.0)
    right[..., 0] = 40
    right[0, 1, 1] = torch.tensor([-40.0, -40.0, 40.0])
    picture = torch.tensor([[[40.0, -40.0, -40.0], [-40.0, -40.0, 40.0]]])
    assert losses.family(picture, right, shown).item() == pytest.approx(0, abs=1e-6)
    mixed_up = right[..., [0, 2, 1]]
    assert losses.family(picture, mixed_up, shown).item() == pytest.approx(80 * (1 / 3) / 2)


def test_only_block_matrices_are_orthogonalised(tmp_path: Path) -> None:
    pretraining = pretrain.Pretraining(micro_config(), tmp_path)
    muon, adam = ({id(p) for g in o.param_groups for p in g["params"]} for o in pretraining.optimizers)
    assert not muon & adam
    assert muon | adam == {id(p) for p in pretraining.trained.parameters()}
    names = {name for name, p in pretraining.trained.named_parameters() if id(p) in muon}
    assert len(names) == 4 * (3 + 1)
    assert all(name.endswith("weight") for name in names)


def test_the_teacher_gives_standardised_features_on_the_patch_grid() -> None:
    pixels = torch.randint(0, 256, (6, 3, 72, 72), dtype=torch.uint8)
    targets = teacher.Teacher().targets(pixels, 9)
    assert targets.patches.shape == (6, 81, teacher.PATCH_CHANNELS)
    assert targets.picture.shape == (6, teacher.PICTURE_CHANNELS)
    spread = targets.patches.flatten(0, 1)
    assert torch.allclose(spread.mean(0), torch.zeros(()), atol=1e-4)
    assert torch.allclose(spread.std(0, unbiased=False), torch.ones(()), atol=1e-3)


def test_a_student_that_knows_nothing_explains_nothing() -> None:
    student = teacher.Student(16)
    for parameter in student.parameters():
        torch.nn.init.zeros_(parameter)
    unit = torch.tensor([-1.0, 1.0])
    targets = teacher.Targets(
        unit[:, None, None].expand(2, 4, teacher.PATCH_CHANNELS), unit[:, None].expand(2, teacher.PICTURE_CHANNELS)
    )
    assert student.loss(torch.randn(2, 4, 16), torch.randn(2, 16), targets).item() == pytest.approx(1)


def test_the_teacher_is_the_published_network() -> None:
    """Mean, deviation and two entries of its three maps, as the package `efficientnet-lite-pytorch` computed them."""
    y, x = np.mgrid[:64, :64]
    pixels = torch.from_numpy(np.stack([(x * 3 + y) % 256, (x * y) % 256, (255 - 2 * y) % 256]).astype(np.uint8))
    with torch.no_grad():
        maps = teacher.Teacher().network((pixels[None].float() - 127) / 128)
    measured = [[m.mean(), m.std(), m[0, 3, 1, 1], m[0, 30, 0, 1]] for m in maps]
    published = [
        [-0.0524, 10.2205, -23.1769, -15.3923],
        [0.999, 7.6806, 7.6272, -3.3387],
        [-0.0935, 3.8305, -0.5634, -0.8206],
    ]
    assert torch.allclose(torch.tensor(measured), torch.tensor(published), atol=1e-3)


def test_teacher_tensors_of_another_order_are_refused() -> None:
    with pytest.raises(ValueError, match="a.bias cannot be x.weight"):
        teacher.renamed({"a.bias": torch.zeros(1)}, ["x.weight"])
