"""The frozen CLIPs of params.yaml in data/weights."""

from collections.abc import Iterator

from zsad.clip.weights import EMBEDDED, WEIGHTS
from zsad.common.errors import UserError
from zsad.common.io import file_sha256, read_json
from zsad.config.params import Params
from zsad.config.schema import BackboneParams
from zsad.pipeline.doctor.finding import Finding


def check_frozen_clips(params: Params) -> Iterator[Finding]:
    """A finding for each of `backbones`."""
    for key, backbone in params.backbones.items():
        yield _frozen_clip(key, backbone)


def _frozen_clip(key: str, wanted: BackboneParams) -> Finding:
    what, made, again = f"weights {key}", f"zsad repro weights@{key}", f"zsad weights {key}"
    name = f"{wanted.name} ({wanted.pretrained})"
    folder = WEIGHTS / key
    if not folder.is_dir():
        how = "comes with the package" if wanted.name == EMBEDDED else "to be downloaded"
        return Finding(what, "later", f"{name} {how}", made)
    try:
        identity = read_json(folder / "backbone.json")
    except UserError:
        return Finding(what, "missing", f"{folder / 'backbone.json'} is not readable", again)
    if (identity.get("name"), identity.get("pretrained")) != (wanted.name, wanted.pretrained):
        return Finding(what, "later", f"{folder} holds {identity.get('name')}, params.yaml wants {name}", made)
    file = folder / "open_clip_model.safetensors"
    if not file.is_file() or file_sha256(file) != identity.get("sha256"):
        return Finding(what, "missing", f"{file} is not the file that backbone.json tells of", again)
    return Finding(what, "ok", f"{name}, hash as recorded")
