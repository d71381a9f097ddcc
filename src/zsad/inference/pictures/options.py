"""What can be asked of `zsad predict MODEL PATH…` beside model, paths and output."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zsad.common.errors import UserError
from zsad.datasets.images import WORKERS
from zsad.inference.pictures.depth import check_bits
from zsad.inference.pictures.sources import STDIN
from zsad.inference.pictures.table import check_form
from zsad.inference.pictures.watching import check_watched


@dataclass(frozen=True)
class Options:
    """scale: what an overlay's colours span (default: settled by threshold or first pictures, see `run`).

    pixel_threshold: regions lie above it (default: the calibration's); bits: in use in 16-bit pictures; anew: replace
    what is in the output folder.
    """

    prompt_name: str | None = None
    category: str | None = None
    form: str = "csv"
    scale: Sequence[float] | None = None
    pixel_threshold: float | None = None
    bits: int | None = None
    batch_size: int = 8
    workers: int = WORKERS
    watch: bool = False
    anew: bool = False

    def check(self, paths: Sequence[str]) -> None:
        """UserError for what cannot be."""
        for name, value in (("batch-size", self.batch_size), ("workers", self.workers)):
            if value < 1:
                raise UserError(f"--{name} {value}: at least 1")
        if self.scale and not self.scale[0] < self.scale[1]:
            raise UserError(f"--scale {self.scale[0]:g} {self.scale[1]:g}: the first must be below the second")
        if self.pixel_threshold is not None and not 0 <= self.pixel_threshold < 1:
            raise UserError(f"--pixel-threshold {self.pixel_threshold:g}: maps lie in [0, 1]")
        if STDIN in paths and len(paths) > 1:
            raise UserError(f"{STDIN}: a list on stdin stands alone; write the other paths into it")
        check_bits(self.bits)
        check_form(self.form, self.watch)
        if self.watch:
            check_watched(paths)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides results, as the command line calls it; a scale that is not asked for is settled by the run."""
        return {
            "object": self.prompt_name,
            "category": self.category,
            "format": self.form,
            "pixel-threshold": self.pixel_threshold,
            "bits": self.bits,
            **({"scale": list(self.scale)} if self.scale else {}),
        }
