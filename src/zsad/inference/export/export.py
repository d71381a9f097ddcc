"""`zsad export`: a checkpoint becomes one file for a runtime, which is compared with it before it appears."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from zsad.common.errors import UserError
from zsad.common.io import full_disk_named
from zsad.inference.calibration import Calibration
from zsad.inference.export.description import Description
from zsad.inference.export.files import Files
from zsad.inference.export.graph import check_exportable, reads_name, trace
from zsad.inference.export.kinds import choose
from zsad.inference.export.measure import Measured, drawn_pictures, measure
from zsad.inference.export.sessions import open_session
from zsad.inference.model import Predictor, load_checkpoint
from zsad.learners.shared.states import States
from zsad.training.checkpoint import Header, read_header


@dataclass(frozen=True)
class Wanted:
    """What to export: kind and precision; category and class name, as of `zsad predict`; own words for prompts.

    calibrations: by name, those the model has; names: which of them must go in, None = all that fit.
    """

    to: str = "onnx"
    precision: str = "fp32"
    category: str | None = None
    prompt_name: str | None = None
    states: States | None = None
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    names: Sequence[str] | None = None


@dataclass(frozen=True)
class Report:
    """What was written, and how far it is from PyTorch."""

    files: list[Path]
    description: Description
    measured: Measured
    left_out: dict[str, str]  # calibrations that do not fit, and why

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files)


def export(checkpoint: Path, out: Path, wanted: Wanted, pictures: Sequence[Image.Image] = ()) -> Report:
    """Write `out`, compared with the checkpoint on `pictures`, or on drawn ones.

    UserError for a learner that cannot be exported, and for a file in fp32 that differs; nothing is left then.
    """
    kind = choose(wanted.to, out, wanted.precision)
    predictor, header = load_checkpoint(checkpoint, "cpu", wanted.states), read_header(checkpoint)
    category = predictor.category(wanted.category)
    learner, name = predictor.learners[category], predictor.prompt_name(category, wanted.prompt_name)
    check_exportable(learner, header.method)
    description = describe(predictor, header, category, name, wanted.precision)
    fitting, left_out = _calibrations(description, wanted, name, predictor.prompt_name(category, None))
    description = replace(description, calibrations={one.name: one.as_dict() for one in fitting})
    files = Files(trace(learner, name))
    out.parent.mkdir(parents=True, exist_ok=True)
    with full_disk_named(out), TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        new = Path(folder) / out.name
        written = files.write(description, kind, new)
        measured = measure(open_session(new), predictor, pictures or drawn_pictures(), name)
        if wanted.precision == "fp32":
            measured.check(str(out))
        placed = [file.replace(out.with_suffix(file.suffix)) for file in reversed(written)]  # weights before the graph
    return Report(placed[::-1], description, measured, left_out)


def describe(predictor: Predictor, header: Header, category: str, name: str, precision: str) -> Description:
    """What a file of this model says of itself, without calibrations."""
    learner = predictor.learners[category]
    return Description(
        learner=header.learner,
        method=header.method,
        protocol=header.protocol,
        source=header.source,
        checkpoint_sha256=predictor.checkpoint_sha256,
        backbone=header.backbone["name"],
        image_size=learner.clip.image_size,
        map_grid=learner.map_grid,
        upsample=learner.upsample,
        sigma=learner.sigma,
        precision=precision,
        prompt_name=name if reads_name(learner, name) else None,
        category=category,
    )


def _calibrations(
    told: Description, wanted: Wanted, name: str, default: str
) -> tuple[list[Calibration], dict[str, str]]:
    """Those that go in, and why others do not; UserError for one that was asked for and does not.

    name: class name in the file's prompts; default: in those of a calibration that names none.
    """
    known = wanted.calibrations
    for asked in wanted.names or ():
        if asked not in known:
            raise UserError(f"calibration {asked}: not of this model, which has: {', '.join(known) or 'none'}")
    picked = {asked: known[asked] for asked in (known if wanted.names is None else wanted.names)}
    reasons = {one.name: _why_not(one, told, wanted, (name, one.prompt_name or default)) for one in picked.values()}
    left_out = {each: why for each, why in reasons.items() if why}
    if left_out and wanted.names is not None:
        each, why = next(iter(left_out.items()))
        raise UserError(f"calibration {each}: {why}")
    return [one for one in picked.values() if not reasons[one.name]], left_out


def _why_not(one: Calibration, told: Description, wanted: Wanted, names: tuple[str, str]) -> str | None:
    if told.precision == "int8":
        return "thresholds of the checkpoint do not hold for int8 scores"
    if wanted.states is not None:
        return "made with the model's own words, not with those of --states"
    if one.category != told.category:
        return f"of category {one.category!r}, and the file is of {told.category!r}"
    if told.prompt_name and names[0] != names[1]:
        return f"made with {names[1]!r} in prompts, and the file has {names[0]!r}"
    return None
