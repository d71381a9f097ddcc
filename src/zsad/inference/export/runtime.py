"""An exported file as a model: everything that `Predictor` offers, without torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from zsad.clip.inputs import to_square
from zsad.common.errors import UserError
from zsad.inference.export.sessions import Session, open_session
from zsad.inference.model import Predictor, check_device

if TYPE_CHECKING:
    from zsad.datasets.manifest import Manifest
    from zsad.inference.stored import PredictionWriter


class Exported(Predictor):
    """The model of one file. Class name and category are those that it was exported with."""

    def __init__(self, session: Session) -> None:
        told = session.description
        super().__init__({}, {told.category: told.prompt_name or "object"}, told.checkpoint_sha256)
        self.learners = {told.category: told}  # type: ignore[dict-item]  # of a learner only the form of maps is read
        self.session = session

    def prompt_name(self, category: str, asked: str | None) -> str:
        own = self.session.description.prompt_name
        if asked and own and asked != own:
            raise UserError(
                f"prompt_name {asked!r}: this file was exported with {own!r}, which its prompts hold; leave it out, or"
                " export again with --object"
            )
        return super().prompt_name(category, asked)

    def scored(self, batch: Sequence[Image.Image], category: str, name: str) -> tuple[np.ndarray, np.ndarray]:
        return self.session.run(squares(batch, self.session.description.image_size))

    def store(self, writer: "PredictionWriter", manifest: "Manifest", batch_size: int) -> None:
        from zsad.datasets.images import decode

        category, rows = self.session.description.category, manifest.test
        for start in range(0, len(rows), batch_size):
            part = rows[start : start + batch_size]
            scores, logits = np.zeros(len(part)), np.zeros((len(part), *self.session.description.map_grid))
            if mine := [i for i, row in enumerate(part) if category in ("", row.category)]:
                pictures = [decode(manifest.root / part[i].path) for i in mine]
                scores[mine], logits[mine] = self.scored(pictures, category, "")
            writer.write(0, start, scores, logits)


def squares(batch: Sequence[Image.Image], side: int) -> np.ndarray:
    """Pictures as an exported graph takes them: uint8 RGB [B, side, side, 3]."""
    return np.stack([to_square(picture, side) for picture in batch])


def load_exported(path: Path, device: str = "auto", calibration: str | None = None) -> Exported:
    """The model of an exported file, on the CPU. calibration: the name of one that the file holds."""
    check_device(device)
    if device == "cuda":
        raise UserError(f"device cuda: {path} runs on the CPU; use auto or cpu, or the checkpoint it was made of")
    model = Exported(open_session(path))
    if calibration is None:
        return model
    return model.calibrated(model.session.description.calibration(calibration, str(path)))
