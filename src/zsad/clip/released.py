"""Released weights of a CLIP as a state dict: of an open_clip tag or of a local file, judged by their hash.

A tag's file comes from the Hugging Face hub or its cache; HF_ENDPOINT, HF_HUB_CACHE and HF_HUB_OFFLINE are heeded.
Where the hub gives none, OpenAI's weights are asked of OpenAI: a TorchScript archive, that people may also bring.
No program in any of these files is run.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zsad.clip.architectures import obstacles
from zsad.clip.inputs import MEAN
from zsad.common.errors import UserError
from zsad.common.io import file_sha256
from zsad.common.progress import log
from zsad.config.schema import BackboneParams
from zsad.datasets.transport.policy import PATIENT, Policy
from zsad.datasets.transport.transfer import Remote, obtain

OPENAI = "openai"
OPENAI_KEY = "openai_clip"  # where its archives are kept: data/downloads/openai_clip, data/drop/openai_clip
NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # what OpenAI's archives hold beside them


@dataclass(frozen=True)
class Released:
    """An architecture with its weights. config: as open_clip_config.json, with the activation that they want."""

    config: dict[str, Any]
    state: dict[str, Any]
    by_openai: bool


def read_released(params: BackboneParams, policy: Policy = PATIENT) -> Released:
    """Architecture from open_clip's list; weights by its tag `pretrained`, or from the file that it names."""
    import open_clip

    config = architecture(params)
    tag = open_clip.get_pretrained_cfg(params.name, params.pretrained) or {}
    if tuple(tag.get("mean", MEAN)) != MEAN:
        raise UserError(
            f"params.yaml: backbones: {params.pretrained} normalises pictures in its own way; not supported"
        )
    file = _of_tag(params, tag, policy) if tag else _of_path(params)
    if _is_torchscript(file):
        _check_archive(params.name, file)
        return Released({"model_cfg": {**config, "quick_gelu": True}}, _from_archive(file), by_openai=True)
    quick_gelu = tag.get("quick_gelu", config.get("quick_gelu", False))
    wanted = {"model_cfg": {**config, "quick_gelu": quick_gelu}}
    return Released(wanted, _into(params, file), by_openai=params.pretrained == OPENAI)


def architecture(params: BackboneParams) -> dict[str, Any]:
    """open_clip's `model_cfg` of this name; UserError where there is none, or one that learners cannot read."""
    import open_clip

    config: dict[str, Any] | None = open_clip.get_model_config(params.name)
    why = ["no such architecture in open_clip"] if config is None else obstacles(config)
    if config is None or why:
        raise UserError(
            f"params.yaml: backbones: {params.name!r} is not a CLIP that learners can read ({'; '.join(why)});"
            " choose a plain one, such as ViT-B-16 or ViT-L-14-336; docs/backbones.md lists them"
        )
    return config


def _of_path(params: BackboneParams) -> Path:
    file = Path(params.pretrained)
    if not file.is_file():
        raise UserError(
            f"params.yaml: backbones: {params.name}: `pretrained: {params.pretrained}` is neither a tag of open_clip"
            " for it nor a file; docs/backbones.md has examples"
        )
    return file


def _of_tag(params: BackboneParams, tag: dict[str, Any], policy: Policy) -> Path:
    from open_clip.pretrained import download_pretrained

    try:
        file = Path(download_pretrained(tag))
    except (RuntimeError, OSError) as error:
        archive = _archive(params.name) if params.pretrained == OPENAI else None
        if archive is None:
            raise UserError(
                f"params.yaml: backbones: the weights {params.name} / {params.pretrained} could not be had ({error});"
                " check the network, or give the path of a local weights file as `pretrained`"
            ) from error
        log(f"{params.name}: not from the hub ({error}); asking OpenAI")
        return obtain(OPENAI_KEY, [archive], policy=policy)
    blob = file.resolve()  # the hub's cache names a large file by its sha256
    if re.fullmatch("[0-9a-f]{64}", blob.name) and (found := file_sha256(blob)) != blob.name:
        raise UserError(f"{blob}: not what the hub says it is: its sha256 is {found}; delete it and run again")
    return file


def _archive(name: str) -> Remote | None:
    """OpenAI's own archive of an architecture; its address holds its sha256."""
    from open_clip.pretrained import get_pretrained_url

    url = get_pretrained_url(name, OPENAI)
    return Remote("direct", url=url, file=Path(url).name, sha256=url.split("/")[-2]) if url else None


def _check_archive(name: str, file: Path) -> None:
    known = _archive(name)
    if known is None:
        raise UserError(f"{file}: a TorchScript archive, and OpenAI has none of {name}; check `name` and `pretrained`")
    if (found := file_sha256(file)) != known.sha256:
        raise UserError(f"{file}: not OpenAI's {known.file}: its sha256 is {found}, published is {known.sha256}")


def _is_torchscript(file: Path) -> bool:
    from zipfile import ZipFile, is_zipfile

    if not is_zipfile(file):
        return False
    with ZipFile(file) as archive:
        return any(Path(name).name == "constants.pkl" for name in archive.namelist())


def _from_archive(file: Path) -> dict[str, Any]:
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch means new archives; this one is from 2021
        state = torch.jit.load(file, map_location="cpu").state_dict()
    return {name: value.float() for name, value in state.items() if name not in NOT_WEIGHTS}


def _into(params: BackboneParams, file: Path) -> dict[str, Any]:
    """The weights as open_clip reads them into the architecture: it renames what others call otherwise."""
    import pickle

    import open_clip

    try:
        model = open_clip.create_model(params.name, pretrained=str(file), weights_only=True)
    except (RuntimeError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise UserError(f"{file}: no weights of {params.name} ({error})") from error
    return model.state_dict()
