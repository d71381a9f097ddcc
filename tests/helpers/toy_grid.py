"""A small repository of shell stages under DVC: what `zsad repro` and `dvc repro` do with one, without a model."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.helpers import ROOT
from tests.helpers.warm_commands import commands

STAGES = """
stages:
  first:
    cmd: {wait} cat in.txt > first.txt; echo told
    deps: [in.txt]
    outs: [first.txt]
  side:
    foreach: [a, b, c, d]
    do:
      cmd: {wait} echo ${{item}} > ${{item}}.txt; cat first.txt >> ${{item}}.txt
      deps: [first.txt]
      outs: ["${{item}}.txt"]
  last:
    cmd: {wait} cat a.txt b.txt c.txt d.txt > last.txt
    deps: [a.txt, b.txt, c.txt, d.txt]
    outs:
      - last.txt: {{cache: false}}
  apart:
    cmd: {wait} cat other.txt > apart.txt
    deps: [other.txt]
    outs: [apart.txt]
"""
OUTPUTS = ("first", "a", "b", "c", "d", "last", "apart")


def _heed_interrupts() -> None:
    """As in a terminal: what a shell starts in the background ignores SIGINT, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Toy:
    """The repository at `path`; `wait`: shell text that every stage begins with."""

    def __init__(self, path: Path, wait: str = "") -> None:
        self.path = path
        path.mkdir(parents=True)
        for name, text in (("in.txt", "1\n"), ("other.txt", "2\n"), ("dvc.yaml", STAGES.format(wait=wait))):
            (path / name).write_text(text)
        shutil.copy(ROOT / "params.yaml", path)
        self.run("git", "init", "-q")
        self.run("dvc", "init", "-q")

    def environment(self, programs: Path = Path(sys.executable).parent) -> dict[str, str]:
        """Of commands, which are found in `programs` first."""
        return {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "src"),
            "DVC_NO_ANALYTICS": "true",
        }

    def start(self, *command: str, warm: bool = False) -> subprocess.Popen[str]:
        """A command in a process group of its own, its output in one pipe; `warm`: not to be killed (warm_commands)."""
        return subprocess.Popen(
            command,
            cwd=self.path,
            env=self.environment(commands()) if warm else self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_heed_interrupts,
        )

    def run(self, *command: str, code: int = 0) -> str:
        """Output of a command that must end with this exit code."""
        process = self.start(*command, warm=True)
        output, _ = process.communicate()
        assert process.returncode == code, f"{' '.join(command)}: exit code {process.returncode}\n{output}"
        return output

    @property
    def lock(self) -> bytes:
        return (self.path / "dvc.lock").read_bytes()

    def forget(self) -> None:
        """As before the first run."""
        for name in OUTPUTS:
            (self.path / f"{name}.txt").unlink(missing_ok=True)
        (self.path / "dvc.lock").unlink(missing_ok=True)
        shutil.rmtree(self.path / ".dvc/cache", ignore_errors=True)
