"""What an exported file says of itself: JSON under one key of its metadata, in every kind of file. Loads no torch."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from zsad.common.errors import UserError
from zsad.common.io import METADATA_KEY as METADATA_KEY
from zsad.common.io import canonical_json
from zsad.inference.calibration import Calibration

FORMAT = 1


@dataclass(frozen=True)
class Description:
    """Which model it is, what it takes and what becomes of its maps.

    image_size: side in pixels of the squares that go in; map_grid: (h, w) of the maps that come out; upsample, sigma:
    how they grow and are smoothed (zsad.inference.maps). prompt_name: the class name that the prompts hold, None where
    they hold none; category: of a few-shot model, else "". calibrations: by name, as `Calibration.as_dict` gives them.
    """

    learner: str
    method: str
    protocol: str
    source: str
    checkpoint_sha256: str
    backbone: str
    image_size: int
    map_grid: tuple[int, int]
    upsample: str
    sigma: float
    precision: str
    prompt_name: str | None = None
    category: str = ""
    calibrations: dict[str, dict[str, Any]] = field(default_factory=dict)
    format: int = FORMAT

    def as_text(self) -> str:
        """Canonical JSON."""
        return canonical_json(asdict(self))

    def calibration(self, name: str, where: str) -> Calibration:
        """The calibration of that name; UserError with those there are."""
        if name not in self.calibrations:
            there = ", ".join(self.calibrations) or "none"
            raise UserError(f"calibration {name}: not in {where}, which holds: {there}; calibrate, then export again")
        return Calibration.from_dict(self.calibrations[name], f"{where}: calibration {name}")


def read_description(text: str | None, where: str) -> Description:
    """What `as_text` gave; UserError that names the file for anything else."""
    try:
        told = json.loads(text or "")
        if set(told) != {one.name for one in fields(Description)} or told["format"] != FORMAT:
            raise ValueError("other fields")
        h, w = told["map_grid"]
        return Description(**{**told, "map_grid": (int(h), int(w))})
    except (ValueError, TypeError) as error:
        raise UserError(f"{where}: not exported by this version of zsad; export the model again") from error
