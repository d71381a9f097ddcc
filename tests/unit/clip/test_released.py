"""Released weights, from a mirror that serves random ones in the official formats: the hub's, and OpenAI's archive."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import open_clip
import open_clip.factory
import open_clip.pretrained
import pytest
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from tests.helpers.http_server import Answer, File, Server, serve
from zsad.clip.released import NOT_WEIGHTS, read_released
from zsad.clip.weights import prepare
from zsad.common.errors import UserError
from zsad.config.schema import BackboneParams
from zsad.datasets.transport.policy import Policy

NAME, REPOSITORY = "ViT-B-32", "timm/tiny_clip.openai"
CONFIG = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}
HURRIED = Policy(attempts=2, sleep=lambda _: None)
OFFICIAL = BackboneParams(name=NAME, pretrained="openai", image_size=32)


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """Of the small architecture: half precision, as OpenAI's are."""
    torch.manual_seed(0)
    state = open_clip.model.CLIP(**CONFIG, quick_gelu=True).state_dict()
    return {name: value.half() for name, value in state.items() if name != "attn_mask"}


def torchscript(weights: dict[str, Tensor], path: Path) -> bytes:
    """An archive as OpenAI's: a scripted module whose parameters have these names, and three numbers."""
    root = _Holder()
    for name, value in weights.items():
        *parts, last = name.split(".")
        module: nn.Module = root
        for part in parts:
            if part not in dict(module.named_children()):
                module.add_module(part, _Holder())
            module = dict(module.named_children())[part]
        module.register_parameter(last, nn.Parameter(value, requires_grad=False))
    for name in NOT_WEIGHTS:
        root.register_buffer(name, torch.tensor(7))
    torch.jit.script(root).save(path)
    return path.read_bytes()


class _Holder(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A hub without any file, whose cache is empty, and OpenAI's address, which has none either."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, NAME, CONFIG)
    with serve() as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        hub = huggingface_hub.constants
        monkeypatch.setattr(hub, "ENDPOINT", address)
        monkeypatch.setattr(hub, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
        monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
        _tell(monkeypatch, f"{address}/clip/{'0' * 64}/ViT-B-32.pt")
        yield server


def _tell(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    tags = {"openai": open_clip.pretrained._pcfg(url=url, hf_hub=f"{REPOSITORY}/", quick_gelu=True)}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, NAME, tags)


def on_hub(server: Server, body: bytes, sha256: str = "", answers: tuple[Answer, ...] = ()) -> str:
    """Serve weights as the hub does; their path."""
    path = f"/{REPOSITORY}/resolve/main/open_clip_model.safetensors"
    headers = {"X-Repo-Commit": "c" * 40}
    etag = f'"{sha256 or hashlib.sha256(body).hexdigest()}"'
    server.put(path, File(body, etag=etag, answers=list(answers), always=Answer(headers=headers)))
    return path


def by_openai(server: Server, monkeypatch: pytest.MonkeyPatch, body: bytes, answers: tuple[Answer, ...] = ()) -> str:
    """Serve OpenAI's archive under an address with its hash; its path."""
    path = f"/clip/{hashlib.sha256(body).hexdigest()}/ViT-B-32.pt"
    _tell(monkeypatch, server.put(path, File(body, answers=list(answers))))
    return path


def same(found: dict[str, Tensor], weights: dict[str, Tensor]) -> bool:
    return found.keys() == weights.keys() and all(torch.equal(found[name], weights[name].float()) for name in weights)


def test_a_tag_comes_from_the_hub_and_then_from_its_cache(
    mirror: Server, weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = on_hub(mirror, save(weights))
    prepare(OFFICIAL, Path("out"))
    assert same(load_file("out/open_clip_model.safetensors"), weights)
    identity = json.loads(Path("out/backbone.json").read_text())
    assert (identity["family"], identity["activation"]) == ("openai", "quickgelu")
    sent = mirror.sent[path]
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert same(read_released(OFFICIAL).state, weights)
    assert mirror.sent[path] == sent


def test_what_the_hub_sends_is_judged_by_its_hash(mirror: Server, weights: dict[str, Tensor]) -> None:
    on_hub(mirror, save(weights), sha256="d" * 64)
    with pytest.raises(UserError, match=r"not what the hub says it is.*delete it and run again"):
        read_released(OFFICIAL, HURRIED)


def test_a_download_that_breaks_off_goes_on(mirror: Server, weights: dict[str, Tensor]) -> None:
    body = save(weights)
    path = on_hub(mirror, body, answers=(Answer(cut=len(body) // 2, headers={"X-Repo-Commit": "c" * 40}),))
    assert same(read_released(OFFICIAL, HURRIED).state, weights)
    assert mirror.sent[path] < 2 * len(body)


def test_without_the_hub_openai_is_asked(
    mirror: Server, weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    archive = torchscript(weights, tmp_path / "made.pt")
    path = by_openai(mirror, monkeypatch, archive, answers=(Answer(cut=len(archive) // 2),))
    released = read_released(OFFICIAL, HURRIED)
    assert same(released.state, weights)
    assert released.by_openai
    assert released.config["model_cfg"]["quick_gelu"]
    assert mirror.sent[path] == len(archive), "the second half alone was fetched again"
    assert same(read_released(OFFICIAL, HURRIED).state, weights)
    assert mirror.sent[path] == len(archive)


def test_another_archive_than_openais_is_refused(
    mirror: Server, weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    archive = torchscript(weights, tmp_path / "made.pt")
    path = by_openai(mirror, monkeypatch, archive)
    mirror.files[path].always = Answer(body=archive[:-1] + b"x")
    with pytest.raises(UserError, match=r"(?s)sha256 is .*, published is .*By hand: download ViT-B-32.pt"):
        read_released(OFFICIAL, HURRIED)
    (tmp_path / "changed.pt").write_bytes(torchscript({**weights, "logit_scale": torch.tensor(1.0)}, tmp_path / "x.pt"))
    brought = BackboneParams(name=NAME, pretrained="changed.pt", image_size=32)
    with pytest.raises(UserError, match=r"changed.pt: not OpenAI's ViT-B-32.pt: its sha256 is"):
        read_released(brought)


def test_an_archive_that_people_bring_is_openais_by_its_hash(
    mirror: Server, weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever `pretrained` is called: what decides the activation is what the file is."""
    by_openai(mirror, monkeypatch, torchscript(weights, tmp_path / "brought.pt"))
    prepare(BackboneParams(name=NAME, pretrained="brought.pt", image_size=32), Path("out"))
    assert same(load_file("out/open_clip_model.safetensors"), weights)
    assert json.loads(Path("out/backbone.json").read_text())["family"] == "openai"
    assert not mirror.sent


def test_where_nothing_answers_the_message_says_how_to_bring_it(mirror: Server) -> None:
    mirror.put(f"/clip/{'0' * 64}/ViT-B-32.pt", File(b"", always=Answer(status=404)))
    with pytest.raises(UserError, match=r"(?s)HTTP 404.*By hand: download ViT-B-32.pt.*data/drop/openai_clip/"):
        read_released(OFFICIAL, HURRIED)


def test_a_local_file_is_read_or_refused_by_name(mirror: Server, weights: dict[str, Tensor], tmp_path: Path) -> None:
    (tmp_path / "own.safetensors").write_bytes(save(weights))
    own = BackboneParams(name=NAME, pretrained="own.safetensors", image_size=32)
    released = read_released(own)
    assert same(released.state, weights)
    assert not released.by_openai
    (tmp_path / "own.safetensors").write_bytes(save({"something": torch.zeros(1)}))
    with pytest.raises(UserError, match=r"own.safetensors: no weights of ViT-B-32"):
        read_released(own)
    with pytest.raises(UserError, match=r"`pretrained: opanai` is neither a tag of open_clip for it nor a file"):
        read_released(BackboneParams(name=NAME, pretrained="opanai", image_size=32))
