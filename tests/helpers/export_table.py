"""The tables of docs/export.md: how far exported files are from PyTorch, how large, how fast.

    python -m tests.helpers.export_table CHECKPOINTS FOLDER… [--only METHOD…]
    python -m tests.helpers.export_table ViT-B-16 FOLDER… --only anomalyclip cops

CHECKPOINTS: data/checkpoints after `zsad repro`; ViT-B-16: random weights at 224 px instead; FOLDER: pictures, of each
16. OMP_NUM_THREADS=1 gives all one thread. Times are of one picture and of eight at once; PyTorch and the runtime take
turns, and medians count, so that their ratios hold on a busy machine.
"""

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

from zsad.clip.backbone import load_clip
from zsad.common.errors import UserError
from zsad.common.io import write_json
from zsad.common.timing import in_turn
from zsad.datasets.listing import list_images
from zsad.inference.export.description import Description
from zsad.inference.export.export import describe
from zsad.inference.export.files import Files
from zsad.inference.export.graph import check_exportable, trace
from zsad.inference.export.kinds import KINDS
from zsad.inference.export.measure import measure
from zsad.inference.export.runtime import squares
from zsad.inference.export.sessions import Session, open_session
from zsad.inference.model import Predictor, load_checkpoint
from zsad.inference.pictures.opening import open_picture
from zsad.learners.lookup import build_config, make_learner
from zsad.training.checkpoint import Header, read_header

PICTURES, RUNS = 16, 11
VIT_B = "ViT-B-16"


@dataclass(frozen=True)
class Form:
    """One file of a model."""

    name: str
    session: Session
    mib: float


def pictures_of(folder: Path) -> list[Image.Image]:
    """Evenly out of a folder."""
    names = list_images(folder)
    return [open_picture(folder / names[i * len(names) // PICTURES]) for i in range(PICTURES)]


def checkpoints(root: Path, only: Sequence[str]) -> Iterator[tuple[Path, Header]]:
    """One file of each method: the first seed of its first configuration."""
    seen: set[str] = set()
    for path in sorted(root.glob("*/demo_*/seed_0.safetensors")):
        header = read_header(path)
        if header.method not in seen and (not only or header.method in only):
            seen.add(header.method)
            yield path, header


def random_models(methods: Sequence[str]) -> Iterator[tuple[Predictor, Header]]:
    """Models on a ViT-B/16 with random weights at 224 px."""
    with tempfile.TemporaryDirectory() as folder:
        write_random_backbone(Path(folder))
        clip = load_clip(Path(folder), 224, "quickgelu", "bilinear", torch.device("cpu"))
    for method in methods:
        learner = make_learner(method, build_config(method, {}, method), clip, "strict").eval()
        learner.draw(torch.Generator().manual_seed(0))
        header = Header(method, method, "strict", "", 0, {}, {"name": VIT_B}, "", "")
        yield Predictor({"": learner}), header


def write_random_backbone(directory: Path) -> None:
    """As the stage `weights` writes one. tests.conftest has this as well, but slows PyTorch down to what all share."""
    from open_clip import get_model_config
    from open_clip.model import CLIP

    torch.manual_seed(0)
    config = get_model_config(VIT_B)
    save_file(CLIP(**config, quick_gelu=True).state_dict(), directory / "open_clip_model.safetensors")
    write_json(directory / "open_clip_config.json", {"model_cfg": config})
    told = {"name": VIT_B, "pretrained": "random", "family": "openai", "activation": "quickgelu", "sha256": ""}
    write_json(directory / "backbone.json", told)


def forms(predictor: Predictor, header: Header, category: str, name: str, folder: Path) -> Iterator[Form]:
    """All files of a model."""
    learner = predictor.learners[category]
    check_exportable(learner, header.method)
    files = Files(trace(learner, name))
    for kind in KINDS:
        for precision in kind.precisions:
            told: Description = describe(predictor, header, category, name, precision)
            written = files.write(told, kind, folder / f"{precision}{kind.suffix}")
            size = sum(file.stat().st_size for file in written) / 2**20
            yield Form(f"{kind.name} {precision}", open_session(written[0]), size)


def table(predictor: Predictor, header: Header, sets: Sequence[list[Image.Image]]) -> Iterator[str]:
    """A row for each file."""
    category = next(iter(predictor.learners))
    name = predictor.prompt_name(category, None)
    with tempfile.TemporaryDirectory() as folder:
        for form in forms(predictor, header, category, name, Path(folder)):
            found = [measure(form.session, predictor, pictures, name) for pictures in sets]
            apart = f"{max(each.score for each in found):.0e} | {max(each.map for each in found):.0e}"
            times = " | ".join(speed(predictor, form, sets[0][:count], category, name) for count in (1, 8))
            yield f"| {header.method} | {form.name} | {apart} | {form.mib:.1f} | {times} |"


def speed(predictor: Predictor, form: Form, batch: list[Image.Image], category: str, name: str) -> str:
    """The share that a file takes of PyTorch's time, and that time in milliseconds a picture."""
    pixels = squares(batch, predictor.learners[category].clip.image_size)
    works = {"own": lambda: form.session.run(pixels), "torch": lambda: predictor.scored(batch, category, name)}
    times = in_turn(works, RUNS, warm=True)
    own, torch_ms = (1000 * times[one].median for one in ("own", "torch"))
    return f"{own / torch_ms:.2f} of {torch_ms / len(batch):.0f} ms"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--only", nargs="+", default=())
    arguments = parser.parse_args()
    sets = [pictures_of(folder) for folder in arguments.folders]
    models: Iterable[tuple[Predictor, Header]] = random_models(arguments.only)
    if str(arguments.checkpoints) != VIT_B:
        found = checkpoints(arguments.checkpoints, arguments.only)
        models = ((load_checkpoint(path, "cpu"), header) for path, header in found)
    for predictor, header in models:
        try:
            for row in table(predictor, header, sets):
                print(row, flush=True)
        except UserError as refused:
            print(f"| {header.method} | {refused} |", flush=True)


if __name__ == "__main__":
    main()
