"""Places for jobs, warm and cold workers, and what a worker does with a command."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from tests.helpers.jobs import finish, job
from zsad.cli.main import main
from zsad.pipeline.grid.executors import LocalExecutor, visible_gpus


def test_commands_run_in_order_until_one_fails(tmp_path: Path) -> None:
    executor = LocalExecutor(main, 2)
    executor.start(job(tmp_path, "fine", "echo $TOLD", "pwd"))
    executor.start(job(tmp_path, "bad", "echo before", "exit 5", "echo after"))
    assert finish(executor, 2) == {"fine": 0, "bad": 5}
    assert f"by the job\n> pwd\n{tmp_path.resolve()}" in (tmp_path / "logs/fine.log").read_text()
    assert "after" not in (tmp_path / "logs/bad.log").read_text().replace("> echo after", "")


def test_our_own_commands_run_in_the_worker_and_give_their_exit_code(tmp_path: Path) -> None:
    executor = LocalExecutor(main, 1)
    executor.start(job(tmp_path, "own", "zsad fetch nothing"))
    assert finish(executor, 1) == {"own": 2}
    assert "params.yaml: not found" in (tmp_path / "logs/own.log").read_text()


def test_a_killed_worker_is_told_apart(tmp_path: Path) -> None:
    executor = LocalExecutor(main, 1)
    executor.start(job(tmp_path, "long", "sleep 60"))
    (process,) = [process for _, process, _ in executor._running.values()]
    process.kill()
    assert finish(executor, 1) == {"long": -9}


def test_stop_ends_what_runs(tmp_path: Path) -> None:
    executor = LocalExecutor(main, 1)
    executor.start(job(tmp_path, "long", "sleep 60"))
    begun = time.monotonic()
    executor.stop()
    assert time.monotonic() - begun < 20


def test_a_gpu_has_one_job_and_others_take_no_gpu_while_they_can(tmp_path: Path) -> None:
    executor = LocalExecutor(main, 3, gpus=["4", "7"], warm=False)
    for name in ("x", "y"):
        executor.start(job(tmp_path, name, "echo gpu=$CUDA_VISIBLE_DEVICES; sleep 0.5", gpu=True))
    assert not executor.has_room(job(tmp_path, "z", "", gpu=True))
    light = job(tmp_path, "light", "echo gpu=$CUDA_VISIBLE_DEVICES.")
    assert executor.has_room(light)
    executor.start(light)
    assert not executor.has_room(light)
    finish(executor, 3)
    told = {name: (tmp_path / f"logs/{name}.log").read_text().splitlines()[-1] for name in ("x", "y", "light")}
    assert told["light"] == "gpu=."
    assert {told["x"], told["y"]} == {"gpu=4", "gpu=7"}


def test_which_gpus_there_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert visible_gpus("auto") == ["2", "5"]
    assert visible_gpus("cpu") == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus("auto") == []
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: GPU-a)'\necho 'GPU 1: B (UUID: GPU-b)'\n")
    tool.chmod(0o755)
    assert visible_gpus("cuda") == ["0", "1"]


def test_without_a_warm_process_jobs_that_load_torch_start_afresh(tmp_path: Path) -> None:
    executor = LocalExecutor(main, 1, warm=False)
    assert executor.has_room(job(tmp_path, "x", "", torch=True))
    assert executor._context().get_start_method() == "spawn"


PROBE = """
    import sys, threading, os, time
    from pathlib import Path
    from zsad.pipeline.grid.executors import Job, LocalExecutor

    def probe(arguments):
        store = "mlflow.store.tracking.sqlalchemy_store"
        print("warm", *(name in sys.modules for name in ("torch", "open_clip", "zsad.training.loop", store)))
        print("threads", sorted(thread.name for thread in threading.enumerate()))
        print("cuda", sys.modules["torch"].cuda.is_initialized())
        return 0

    if __name__ == "__main__":
        import probing
        executor = LocalExecutor(probing.probe, 1)
        job = Job("probe", ["zsad probe"], ".", Path("probe.log"), True, False)
        while not executor.has_room(job):
            time.sleep(0.1)
        executor.start(job)
        while not (ended := executor.ended(1.0)):
            pass
        assert ended[0][1] == 0, ended
"""


def test_a_warm_worker_has_torch_and_no_threads_of_its_parent(tmp_path: Path) -> None:
    (tmp_path / "probing.py").write_text(textwrap.dedent(PROBE))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    subprocess.run([sys.executable, "probing.py"], cwd=tmp_path, env=environment, check=True)
    told = (tmp_path / "probe.log").read_text().splitlines()
    assert told[1] == "warm True True True True"
    assert told[2].count("Thread") == 2  # its own, and the one that watches the runner
    assert told[3] == "cuda False"
    assert threading.active_count() >= 1
