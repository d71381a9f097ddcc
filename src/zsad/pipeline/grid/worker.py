"""Inside a process of the local executor: one stage's command, its output in a file of its own."""

import multiprocessing
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path

SHELL_SIGNS = frozenset("|&;<>()$`\\\"'*?[]#~{}!\n")
KILLED = 137  # exit code of what ends because the runner has gone

Main = Callable[[Sequence[str]], int]  # the command line of zsad: arguments → exit code
_shells: list[subprocess.Popen[bytes]] = []


def work(main: Main, commands: Sequence[str], directory: str, log: Path, environment: Mapping[str, str]) -> None:
    """Run the lines of a stage's command, as DVC would; ends the process with the exit code of the first that fails."""
    end_with_parent()
    with log.open("wb", buffering=0) as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    os.environ.update(environment)
    os.chdir(directory)
    code = 0
    for command in commands:
        print(f"> {command}", flush=True)
        code = run(main, command)
        if code:
            break
    sys.stdout.flush()
    sys.exit(code)


def run(main: Main, command: str) -> int:
    """Exit code of one line: in this process, which may be warm, when it is one of zsad's own commands."""
    if command.startswith("zsad ") and not SHELL_SIGNS & set(command):
        return main(shlex.split(command)[1:])
    shell = subprocess.Popen([os.environ.get("SHELL") or "/bin/sh", "-c", command], start_new_session=True)
    _shells.append(shell)
    return shell.wait()


def nothing() -> None:
    """What a process does that only shows that processes start."""


def end_with_parent() -> None:
    """End this process when the one that asked for it is gone: nothing may write behind the back of a later run."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        for shell in _shells:
            if shell.poll() is None:
                os.killpg(shell.pid, signal.SIGKILL)
        os._exit(KILLED)

    threading.Thread(target=watch, daemon=True).start()
