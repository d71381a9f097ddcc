"""Turn a pretraining checkpoint into the embedded weights: `python -m zsad_synthetic.pretraining.export CHECKPOINT`."""

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file

from zsad.clip.embedded import loader as embedded
from zsad.common.io import atomic_path, file_sha256
from zsad_synthetic.pretraining import tokens


def export(checkpoint: Path, target: Path = embedded.WEIGHTS) -> Path:
    """Write the weights of a checkpoint in half precision, the token table in its compact form."""
    weights = torch.load(checkpoint, weights_only=True, map_location="cpu")["model"]
    rows = weights.pop("token_embedding.weight")
    stored = {name: tensor.half().contiguous() for name, tensor in weights.items()}
    stored[embedded.TOKEN_ROWS] = rows.half()
    stored[embedded.TOKEN_IDS] = torch.from_numpy(tokens.kept_ids()).to(torch.int32)
    with atomic_path(target) as partial:
        save_file(stored, partial, metadata={"format": "pt"})
        partial.chmod(0o644)
    return target


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m zsad_synthetic.pretraining.export", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--to", type=Path, default=embedded.WEIGHTS)
    options = parser.parse_args(arguments)
    if not options.checkpoint.is_file():
        parser.error(f"{options.checkpoint}: no such checkpoint")
    target = export(options.checkpoint, options.to)
    print(f"{file_sha256(target)}  {target}")


if __name__ == "__main__":
    main()
