"""The official side: a repository's own script, run as `python test.py …` would, with turns between its steps.

Its data loader hands out the case's pictures, so a turn is one pass of its loop's body. A module that only prepares
data, draws pictures, computes metrics or downloads is stood in for; numbers written for ViT-L are replaced in memory.
Nothing is written into the repository.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch

from zsad.common.errors import UserError
from zsad.pipeline.bench.against.case import BATCH, NAME, TRAINING, Case
from zsad.pipeline.bench.against.draws import Draws
from zsad.pipeline.bench.against.turns import Turns

SCRIPTS = {TRAINING: "train.py"}  # and test.py
PATH = "/a/set/of/pictures/object/000.png"  # of every picture; one code takes its fifth part for the set's name


@dataclass(frozen=True)
class Edit:
    """In this file of the repository, `old` becomes `new`; it stands there `count` times."""

    file: str
    old: str
    new: str
    count: int


def driver_of(method: str) -> Any:
    """The module of this method: HOME and COMMIT of what it was written for, and its functions.

    `settings` of our learner, `renamed` parameters, `edits` and `arguments` of the scripts, `place` for all stand-ins.
    """
    return importlib.import_module(f"zsad.pipeline.bench.against.{method}")


def edited(source: Path, edits: list[Edit]) -> str:
    """The text of a file with its edits; a UserError where one does not fit."""
    if not source.is_file():
        raise UserError(f"{source}: no such file")
    text = source.read_text(encoding="utf-8")
    for edit in edits:
        if (found := text.count(edit.old)) != edit.count:
            raise UserError(f"{source}: {edit.old!r} stands there {found} times, expected {edit.count}")
        text = text.replace(edit.old, edit.new)
    return text


class Loader:
    """In place of a DataLoader: items of one batch each; handing one out begins a turn."""

    def __init__(self, run: "Run") -> None:
        self.run = run

    def __len__(self) -> int:
        return len(self.run.batches)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for where in self.run.batches:
            item = self.run.item(where)
            self.run.turns.next()
            self.run.draw()
            yield item
        self.run.turns.end()


class Run:
    """One run of a script: what a driver places modules with, and what it recorded."""

    def __init__(self, folder: Path, case: Case, turns: Turns) -> None:
        self.folder, self.case, self.turns = folder, case, turns
        self.repository = Path(case.repository)
        self.driver = driver_of(case.method)
        self.edits: list[Edit] = self.driver.edits(case)
        self.images, self.masks, self.labels, order = (
            np.load(folder / f"{name}.npy") for name in ("images", "masks", "labels", "order")
        )
        training = case.what == TRAINING
        self.batches = np.split(order, len(order) // BATCH) if training else list(np.arange(len(order))[:, None])
        self.found: dict[str, Any] = {}
        self._draws, self._step, self._training = Draws(), 0, training

    def draw(self) -> None:
        """Draws from here on are those of the next step; of every picture the same."""
        self._draws.begin(self._step)
        self._step += self._training

    def item(self, where: np.ndarray) -> dict[str, Any]:
        """A batch as the authors' data sets give it."""
        count = len(where)
        return {
            "img": torch.from_numpy(self.images[where]),
            "img_mask": torch.from_numpy(self.masks[where])[:, None],
            "anomaly": torch.from_numpy(self.labels[where]),
            "cls_name": [NAME] * count,
            "cls_id": torch.zeros(count, dtype=torch.long),
            "img_path": [PATH] * count,
        }

    def record(self, maps: Any, scores: Any) -> None:
        """What the script found: maps of all pictures at full size, and scores."""
        side = self.case.image_size
        self.found["maps"] = np.asarray(maps, np.float32).reshape(-1, side, side)
        self.found["scores"] = np.array([float(score) for score in scores])

    def stand_in(self, name: str, **members: Any) -> None:
        """A module with these members; without any, one that accepts everything, if there is no such module here."""
        parts = name.split(".")
        here = parts[0] in sys.modules or importlib.util.find_spec(parts[0])
        if here and not members:
            return
        for i in range(1, 1 if here else len(parts)):
            sys.modules[".".join(parts[:i])] = MagicMock()
        module: Any = ModuleType(name) if members else MagicMock()
        vars(module).update(members)
        sys.modules[name] = module

    def load(self, name: str) -> Any:
        """A module of the repository, with its edits."""
        file = f"{name.replace('.', '/')}.py"
        own = [edit for edit in self.edits if edit.file == file]
        if not own:
            return importlib.import_module(name)
        package = name.rpartition(".")[0]
        if package:
            importlib.import_module(package)
        path = self.repository / file
        module = ModuleType(name)
        module.__file__, module.__package__ = str(path), package
        sys.modules[name] = module
        exec(compile(edited(path, own), path, "exec"), vars(module))
        return module

    def data_set(self, *_: Any, **__: Any) -> MagicMock:
        """In place of one of the authors' data sets."""
        return MagicMock(obj_list=[NAME])

    def started_alike(self, module: Any, name: str) -> None:
        """From here on module.name builds learners with the case's values."""
        build = getattr(module, name)

        def built(*arguments: Any, **named: Any) -> Any:
            learner = build(*arguments, **named)
            state = torch.load(self.folder / "initial.pth", weights_only=True)
            unknown = learner.load_state_dict(state, strict=False).unexpected_keys
            assert not unknown, unknown
            return learner

        setattr(module, name, built)

    def clip_state(self) -> dict[str, Any]:
        """The CLIP's weights by OpenAI's names."""
        from safetensors.torch import load_file

        return load_file(self.folder / "clip" / "open_clip_model.safetensors")

    def go(self) -> dict[str, Any]:
        """Run the script; what was recorded."""
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(self.repository))
        work = self.folder / "work" / self.case.what
        (work / "results").mkdir(parents=True)
        os.chdir(work)
        if not torch.cuda.is_available():
            _without_cuda()
        loading: Any = torch.utils.data
        loading.DataLoader = lambda *_, **__: Loader(self)
        self.driver.place(self)
        script = SCRIPTS.get(self.case.what, "test.py")
        given = self.driver.arguments(self.case, self.folder)
        sys.argv = [script, *(word for name, value in given.items() for word in (f"--{name}", *_words(value)))]
        text = edited(self.repository / script, [edit for edit in self.edits if edit.file == script])
        main = ModuleType("__main__")
        main.__file__ = str(self.repository / script)
        sys.modules["__main__"] = main
        exec(compile(text, script, "exec"), vars(main))
        return self.found


def _words(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _without_cuda() -> None:
    """What these codes ask of a GPU without asking whether there is one."""
    tensors: Any = torch.Tensor
    tensors.cuda = lambda tensor, *_, **__: tensor
    devices: Any = torch.cuda
    devices.set_device = lambda *_: None
