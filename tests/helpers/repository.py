"""One real repository in a temporary folder: a copy of this one with small parameters, real git, DVC and MLflow."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.helpers import ROOT
from tests.helpers.warm_commands import commands

PARTS = ("dvc.yaml", "params.yaml", "pyproject.toml", "README.md", "profiles", "src", ".dvcignore", ".gitignore")
FEW_WORDS = "clip_zero: {states: {normal: ['{}'], anomalous: ['damaged {}'], templates: ['a photo of a {}.']}}"
SMALL = (  # every block that decides the pipeline, so that a profile applied to this checkout does not matter
    "seeds=[0]",
    "backbones={default: {name: embedded, pretrained: embedded, image_size: 112}}",
    "metrics={resolution: null, aupro_fpr_limit: 0.3}",
    "sources={demo_source: {}}",
    f"learners={{{FEW_WORDS}, anomalyclip: {{epochs: 1}}}}",
    "few_shot={}",
    "few_shot_of={}",
    "ensembles={}",
    "datasets={demo_source: {kind: demo, path: src/zsad/datasets/demo.yaml},"
    " demo_texture: {kind: demo, path: src/zsad/datasets/demo.yaml}}",
)


@dataclass(frozen=True)
class Repo:
    """A repository and the commands a user types in it."""

    path: Path

    @property
    def environment(self) -> dict[str, str]:
        """Of commands; `zsad` and `dvc` are forks of a process that has imported what they need."""
        real = self.real_environment
        return {**real, "PATH": f"{commands()}{os.pathsep}{real['PATH']}"}

    @property
    def real_environment(self) -> dict[str, str]:
        """Of commands that start as a user's do."""
        binaries = Path(sys.executable).parent
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_"))},
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.path / "src"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "GIT_AUTHOR_NAME": "test",
            "GIT_AUTHOR_EMAIL": "test@localhost",
            "GIT_COMMITTER_NAME": "test",
            "GIT_COMMITTER_EMAIL": "test@localhost",
        }

    def run(self, *command: str, code: int = 0) -> str:
        """Output (stdout and stderr) of a command that must end with this exit code."""
        result = subprocess.run(
            command, cwd=self.path, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert result.returncode == code, f"{' '.join(command)}: exit code {result.returncode}\n{result.stdout}"
        return result.stdout

    def repro(self, *targets: str) -> list[str]:
        """Names of the stages that `zsad repro` ran."""
        return re.findall(r"^\[\d+/\d+\] (\S+): [\d.]+ s$", self.run("zsad", "repro", *targets), flags=re.MULTILINE)

    def is_up_to_date(self) -> bool:
        """Whether `dvc repro` finds nothing to do."""
        return "Running stage" not in self.run("dvc", "repro")

    def set(self, *assignments: str) -> None:
        """Change parameters the way a user does from the shell."""
        self.run("zsad", "profile", "apply", "params.yaml", *assignments)

    def params(self) -> dict:
        return yaml.safe_load((self.path / "params.yaml").read_text())

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", message)


def cells(stage: str, learners: list[str], others: list[str]) -> set[str]:
    """Names of the stages of a matrix."""
    return {f"{stage}@{learner}-{other}" for learner in learners for other in others}


def write_official(method: str, root: Path, name: str) -> None:
    """`root`/`name`: a file as the method's authors would save it, random, for the embedded CLIP prepared in `root`."""
    import torch

    from tests.helpers.official_files import official, packed
    from zsad.clip.backbone import load_clip
    from zsad.learners.lookup import build_config, learner_class

    kind = learner_class(method)
    weights = root / "data/weights/default"
    clip = load_clip(weights, 112, kind.openai_activation, kind.position_resize, torch.device("cpu"))
    learner = kind(build_config(method, {}, "learners.x"), clip)
    sets = len(learner.compound_prompts_text)
    torch.save(packed(method, official(method, clip, sets)), root / name)


def make_repo(path: Path, *assignments: str) -> Repo:
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, path / part, ignore=shutil.ignore_patterns("*.egg-info"))
        else:
            path.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / part, path / part)
    facts = path / "src/zsad/datasets/demo.yaml"  # as many categories and pictures as the tests look at
    two = re.sub(r"categories: \{(\w+: \w+, \w+: \w+).*\}", r"categories: {\1}", facts.read_text())
    facts.write_text(re.sub(r"expected: .*", "expected: [3, 2, 3]", two))
    (path / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", path / ".dvc" / "config")
    shutil.copy(ROOT / ".dvc" / ".gitignore", path / ".dvc" / ".gitignore")
    shutil.copytree(ROOT / ".dvc" / "plots", path / ".dvc" / "plots")
    repo = Repo(path)
    repo.run("git", "init", "-q", "-b", "main")
    repo.set(*assignments)
    repo.commit("start")
    return repo
