"""The `weights` stage: a backbone as one directory that `load_clip` reads, whatever it came from."""

from pathlib import Path
from typing import Any

from zsad.clip.architectures import obstacles
from zsad.clip.inputs import MEAN
from zsad.common.errors import UserError
from zsad.common.io import atomic_directory, file_sha256, read_json, write_json
from zsad.config.schema import BackboneParams

WEIGHTS = Path("data/weights")
EMBEDDED = "embedded"
UNPACKED = Path("data/scratch/weights")  # the embedded CLIP where no pipeline has prepared it


def prepare(params: BackboneParams, out: Path) -> None:
    """Write `out`/{open_clip_config.json, open_clip_model.safetensors, backbone.json} for these parameters."""
    config, state = _embedded() if params.name == EMBEDDED else _from_open_clip(params)
    with atomic_directory(out) as directory:
        from safetensors.torch import save_file

        save_file({k: v.contiguous() for k, v in sorted(state.items())}, directory / "open_clip_model.safetensors")
        write_json(directory / "open_clip_config.json", config)
        write_json(
            directory / "backbone.json",
            {
                "name": params.name,
                "pretrained": params.pretrained,
                "family": "openai" if params.pretrained == "openai" else "other",
                "activation": "quickgelu" if config["model_cfg"].get("quick_gelu") else "gelu",
                "sha256": file_sha256(directory / "open_clip_model.safetensors"),
            },
        )


def find(identity: dict[str, Any], base: Path = WEIGHTS) -> Path:
    """The prepared directory that holds exactly the weights a checkpoint was trained with."""
    for candidate in [*sorted(base.glob("*/backbone.json")), UNPACKED / "backbone.json"]:
        if candidate.is_file() and read_json(candidate)["sha256"] == identity["sha256"]:
            return candidate.parent
    if identity["name"] == EMBEDDED:
        prepare(BackboneParams(name=EMBEDDED, pretrained=EMBEDDED, image_size=identity["image_size"]), UNPACKED)
        if read_json(UNPACKED / "backbone.json")["sha256"] == identity["sha256"]:
            return UNPACKED
        raise UserError("the checkpoint was trained on another version of the embedded CLIP; run `dvc repro`")
    raise UserError(
        f"{base}: the checkpoint needs {identity['name']} ({identity['pretrained']}), which is not there;"
        " name it under `backbones` in params.yaml and run `dvc repro weights`"
    )


def _embedded() -> tuple[dict[str, Any], dict[str, Any]]:
    from zsad.clip.embedded import loader as embedded

    return embedded.config(), embedded.state_dict()


def _from_open_clip(params: BackboneParams) -> tuple[dict[str, Any], dict[str, Any]]:
    """Architecture from open_clip's list, weights from its hub tag or a local file (never a pickled program)."""
    import open_clip

    config = open_clip.get_model_config(params.name)
    why = ["no such architecture in open_clip"] if config is None else obstacles(config)
    if why:
        raise UserError(
            f"params.yaml: backbones: {params.name!r} is not a CLIP that learners can read ({'; '.join(why)});"
            " choose a plain one, such as ViT-B-16 or ViT-L-14-336; docs/backbones.md lists them"
        )
    tag = open_clip.get_pretrained_cfg(params.name, params.pretrained) or {}
    if tuple(tag.get("mean", MEAN)) != MEAN:
        raise UserError(
            f"params.yaml: backbones: {params.pretrained} normalises pictures in its own way; not supported"
        )
    try:
        model = open_clip.create_model(params.name, pretrained=params.pretrained, weights_only=True)
    except (RuntimeError, OSError) as error:
        raise UserError(
            f"params.yaml: backbones: the weights {params.name} / {params.pretrained} could not be had ({error});"
            " check the tag and the network, or give the path of a local weights file as `pretrained`"
        ) from error
    quick_gelu = tag.get("quick_gelu", config.get("quick_gelu", False))
    return {"model_cfg": {**config, "quick_gelu": quick_gelu}}, model.state_dict()
