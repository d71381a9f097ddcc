"""`zsad repro` against `dvc repro`, on a small repository of shell stages: the same lock file, whatever happens."""

import json
import os
import random
import re
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.helpers.toy_grid import OUTPUTS, Toy

KILLS = 4  # by hand: ZSAD_KILLS=30


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """dvc.lock of an undisturbed `dvc repro`."""
    toy = Toy(tmp_path_factory.mktemp("wanted") / "toy")
    toy.run("dvc", "repro", "-q")
    return toy.lock


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path / "toy")


def ran(output: str) -> set[str]:
    """Names of the stages whose command ran."""
    return set(re.findall(r"^\[\d+/\d+\] (\S+): [\d.]+ s$", output, re.MULTILINE))


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_lock_file_is_that_of_dvc(toy: Toy, wanted: bytes, jobs: int) -> None:
    output = toy.run("zsad", "repro", "-j", str(jobs))
    assert len(ran(output)) == 7
    assert toy.lock == wanted
    assert "up to date" in toy.run("dvc", "repro")
    assert "7 unchanged" in toy.run("zsad", "repro")


def test_the_logs_hold_what_stages_say(toy: Toy) -> None:
    toy.run("zsad", "repro")
    assert "told" in (toy.path / "data/logs/first.log").read_text()
    assert set(json.loads((toy.path / "data/logs/seconds.json").read_text())) >= {"first", "side@a", "last"}


def test_dry_run_tells_and_does_nothing(toy: Toy) -> None:
    told = toy.run("zsad", "repro", "--dry-run")
    assert "first: stale" in told
    assert "last: may run" in told
    assert not (toy.path / "dvc.lock").exists()
    toy.run("zsad", "repro")
    assert toy.run("zsad", "repro", "--dry-run") == "everything is up to date\n"


def test_targets_run_with_what_they_need(toy: Toy) -> None:
    assert ran(toy.run("zsad", "repro", "side@b")) == {"first", "side@b"}
    message = toy.run("zsad", "repro", "nothing", code=2)
    assert "nothing" in message
    assert "Traceback" not in message


def test_a_stage_whose_input_came_out_the_same_does_not_run(toy: Toy, wanted: bytes) -> None:
    toy.run("zsad", "repro")
    (toy.path / "first.txt").unlink()
    assert ran(toy.run("zsad", "repro")) == set()  # back from the cache
    assert toy.lock == wanted


def test_the_run_cache_stands_in_as_for_dvc(toy: Toy, wanted: bytes) -> None:
    toy.run("zsad", "repro")
    (toy.path / "dvc.lock").unlink()
    assert ran(toy.run("zsad", "repro")) == {"last"}  # what is not cached is not in the run cache either
    assert toy.lock == wanted


def test_a_changed_input_runs_what_reads_it_and_changed_back_nothing(toy: Toy, wanted: bytes) -> None:
    toy.run("zsad", "repro")
    (toy.path / "other.txt").write_text("3\n")
    assert ran(toy.run("zsad", "repro")) == {"apart"}
    assert (toy.path / "apart.txt").read_text() == "3\n"
    (toy.path / "other.txt").write_text("2\n")
    assert ran(toy.run("zsad", "repro")) == set()
    assert (toy.path / "apart.txt").read_text() == "2\n"
    assert toy.lock == wanted


@pytest.mark.parametrize(("options", "after"), [([], {"first"}), (["--keep-going"], {"first", "side@a", "apart"})])
def test_a_failure_names_the_log_and_stops_what_depends_on_it(toy: Toy, options: list[str], after: set[str]) -> None:
    text = (toy.path / "dvc.yaml").read_text()
    broken = text.replace("echo ${item} >", "sleep 0.3; [ ${item} = b ] && echo no such luck && exit 3; echo ${item} >")
    (toy.path / "dvc.yaml").write_text(broken)
    output = toy.run("zsad", "repro", "-j", "2", *options, code=70)
    assert "side@b: failed (exit code 3); its output: data/logs/side@b.log" in output
    assert "no such luck" in output
    assert after <= ran(output)
    assert "last" not in ran(output)
    (toy.path / "dvc.yaml").write_text(text)
    assert "failed" not in toy.run("zsad", "repro")
    assert "up to date" in toy.run("dvc", "repro")


def test_an_output_that_was_not_written_is_named(toy: Toy) -> None:
    text = (toy.path / "dvc.yaml").read_text()
    (toy.path / "dvc.yaml").write_text(text.replace("cat other.txt > apart.txt", "echo nothing"))
    output = toy.run("zsad", "repro", "--keep-going", code=70)
    assert re.search(r"apart: failed \(.*apart.txt.*does not exist", output)
    assert "last" in ran(output)


def test_no_second_run_meanwhile(tmp_path: Path) -> None:
    toy = Toy(tmp_path / "toy", wait="sleep 2;")
    process = toy.start("zsad", "repro", "-j", "1")
    while not (toy.path / "data/logs/first.log").exists() and not (toy.path / "data/logs/apart.log").exists():
        assert process.poll() is None
        time.sleep(0.05)
    message = toy.run("zsad", "repro", code=2)
    assert "busy" in message
    assert "zsad repro (" in message
    process.communicate()
    assert process.returncode == 0


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM"])
def test_interrupted_it_ends_its_workers_and_goes_on_later(tmp_path: Path, wanted: bytes, how: str) -> None:
    toy = Toy(tmp_path / "toy", wait="sleep 1;")
    process = toy.start("zsad", "repro", "-j", "2")
    while not (toy.path / "first.txt").exists():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.3)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(getattr(signal, how))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in output
    assert not psutil.wait_procs(children, timeout=10)[1]
    (toy.path / "dvc.yaml").write_text((toy.path / "dvc.yaml").read_text().replace("sleep 1; ", ""))
    toy.run("dvc", "repro", "-q")
    assert toy.lock == wanted


def is_worker(process: psutil.Process) -> bool:
    try:
        return "tracker" not in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # ended since it was listed: nothing to kill
        return False


def test_killed_anywhere_either_tool_goes_on(toy: Toy, wanted: bytes) -> None:
    """SIGKILL of the runner or a worker at a random moment; then `dvc repro` ends in the same bytes."""
    draw = random.Random(0)
    for number in range(int(os.environ.get("ZSAD_KILLS", KILLS))):
        toy.forget()
        process = toy.start("zsad", "repro", "-j", "2")
        time.sleep(draw.uniform(1.0, 6.0))
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        workers = [child for child in children if is_worker(child)]
        victim = draw.choice(workers) if workers and number % 2 else process
        victim.kill()
        process.communicate()
        assert not psutil.wait_procs(children, timeout=30)[1], "a worker outlived the runner"
        toy.run("zsad" if number % 3 == 2 else "dvc", "repro")
        assert toy.lock == wanted
        assert (toy.path / "last.txt").read_text() == "a\n1\nb\n1\nc\n1\nd\n1\n"


def test_the_toy_names_its_outputs(toy: Toy) -> None:
    toy.run("zsad", "repro")
    assert all((toy.path / f"{name}.txt").is_file() for name in OUTPUTS)
