"""Jobs as Ray tasks: their commands, logs, exit codes, and their end."""

import time
from pathlib import Path

import pytest

from tests.helpers.jobs import finish, job
from zsad.cli.main import main
from zsad.pipeline.grid.ray_executor import RayExecutor

pytestmark = pytest.mark.usefixtures("cluster")


def test_commands_logs_and_exit_codes(tmp_path: Path) -> None:
    executor = RayExecutor(main, 2, 0, {"COMPUTES": "as the driver says"})
    executor.start(job(tmp_path, "fine", "echo $TOLD, $COMPUTES", "pwd"))
    executor.start(job(tmp_path, "bad", "zsad fetch nothing", "echo after"))
    assert not executor.has_room(job(tmp_path, "more", ""))
    assert finish(executor, 2) == {"fine": 0, "bad": 2}
    assert f"by the job, as the driver says\n> pwd\n{tmp_path.resolve()}" in (tmp_path / "logs/fine.log").read_text()
    assert "params.yaml: not found" in (tmp_path / "logs/bad.log").read_text()
    assert "after" not in (tmp_path / "logs/bad.log").read_text()


def test_a_killed_worker_fails_its_job_and_stop_ends_what_runs(tmp_path: Path) -> None:
    executor = RayExecutor(main, 2, 0, {})
    parent = "kill -9 $(ps -o ppid= -p $PPID)"  # the worker of Ray: the shell's grandparent
    executor.start(job(tmp_path, "lost", parent, "sleep 60"))
    assert finish(executor, 1)["lost"] != 0
    executor.start(job(tmp_path, "long", "sleep 60; touch done"))
    while not (tmp_path / "logs/long.log").exists():
        time.sleep(0.05)
    begun = time.monotonic()
    executor.stop()
    assert time.monotonic() - begun < 20
    assert not (tmp_path / "done").exists()


def test_those_that_want_a_gpu_wait_for_one(tmp_path: Path) -> None:
    executor = RayExecutor(main, 4, 1, {})
    executor._running = {0: job(tmp_path, "x", "", gpu=True)}
    assert not executor.has_room(job(tmp_path, "y", "", gpu=True))
    assert executor.has_room(job(tmp_path, "z", ""))
