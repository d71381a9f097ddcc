"""The `weights` stage: a backbone as one directory that `load_clip` reads, whatever it came from."""

from pathlib import Path
from typing import Any

from filelock import FileLock

from zsad.clip.released import Released, architecture, read_released
from zsad.common.errors import UserError
from zsad.common.io import atomic_directory, file_sha256, read_json, write_json
from zsad.config.schema import BackboneParams

WEIGHTS = Path("data/weights")
EMBEDDED = "embedded"
UNPACKED = Path("data/scratch/weights")  # the embedded CLIP where no pipeline has prepared it


def prepare(params: BackboneParams, out: Path) -> None:
    """Write `out`/{open_clip_config.json, open_clip_model.safetensors, backbone.json} for these parameters."""
    released = _embedded() if params.name == EMBEDDED else read_released(params)
    with atomic_directory(out) as directory:
        from safetensors.torch import save_file

        save_file(
            {k: v.contiguous() for k, v in sorted(released.state.items())}, directory / "open_clip_model.safetensors"
        )
        write_json(directory / "open_clip_config.json", released.config)
        write_json(
            directory / "backbone.json",
            {
                "name": params.name,
                "pretrained": params.pretrained,
                "family": "openai" if released.by_openai else "other",
                "activation": "quickgelu" if released.config["model_cfg"].get("quick_gelu") else "gelu",
                "sha256": file_sha256(directory / "open_clip_model.safetensors"),
            },
        )


def find(identity: dict[str, Any], base: Path = WEIGHTS) -> Path:
    """The prepared directory that holds exactly the weights a checkpoint was trained with."""
    for candidate in [*sorted(path.parent for path in base.glob("*/backbone.json")), UNPACKED]:
        if _holds(candidate, identity):
            return candidate
    if identity["name"] == EMBEDDED:
        UNPACKED.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{UNPACKED}.lock"):  # workers of a server start at once
            if not _holds(UNPACKED, identity):
                prepare(BackboneParams(name=EMBEDDED, pretrained=EMBEDDED, image_size=identity["image_size"]), UNPACKED)
        if _holds(UNPACKED, identity):
            return UNPACKED
        raise UserError("the checkpoint was trained on another version of the embedded CLIP; run `dvc repro`")
    raise UserError(
        f"{base}: the checkpoint needs {identity['name']} ({identity['pretrained']}), which is not there;"
        " name it under `backbones` in params.yaml and run `dvc repro weights`"
    )


def _holds(directory: Path, identity: dict[str, Any]) -> bool:
    path = directory / "backbone.json"
    return path.is_file() and bool(read_json(path)["sha256"] == identity["sha256"])


def model_config(params: BackboneParams) -> dict[str, Any]:
    """The architecture in open_clip's words (`model_cfg`), known before its weights are there."""
    if params.name != EMBEDDED:
        return architecture(params)
    from zsad.clip.embedded import loader as embedded

    config: dict[str, Any] = embedded.config()["model_cfg"]
    return config


def _embedded() -> Released:
    from zsad.clip.embedded import loader as embedded

    return Released(embedded.config(), embedded.state_dict(), by_openai=False)
