"""`zsad`, `dvc` and `python -c` for functional tests, as forks of a process that has imported what takes them seconds.

A functional test types dozens of commands, and each would import torch, DVC and MLflow anew: most of the suite's time.
A server imports them once, but nothing of zsad. `commands()` is a folder with these commands to be put first on
PATH; they hand arguments, environment, folder and standard streams to a fork of the server, and end with its exit code.
Interrupts are passed on. A command that a test kills is to be started for real, since its fork would live on; so are
those of the tests of starting up.
"""

import atexit
import contextlib
import gc
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from functools import cache
from pathlib import Path

IMPORTED = """
    numpy cv2 PIL.Image PIL.PngImagePlugin pandas scipy.special sklearn.metrics pydantic rich.live ruamel.yaml tabulate
    torch torchvision open_clip safetensors.torch tqdm filelock requests psutil
    mlflow mlflow.pyfunc mlflow.store.tracking.sqlalchemy_store mlflow.store.model_registry.sqlalchemy_store
    opentelemetry.sdk.metrics sqlalchemy.dialects.sqlite alembic.config pyarrow.vendored.version
    dvc.cli dvc.commands.repro dvc.commands.experiments.run dvc.repo dvc.api dvc.stage.cache dvc.repo.index
    dvc.repo.datasets dvc.repo.plots networkx dulwich.index pyparsing configobj flatten_dict
"""
CLIENT = f"""#!{sys.executable} -SE
import os, signal, socket, sys
if {{name!r}} == "python" and sys.argv[1:2] != ["-c"]:
    os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as server:
    server.connect({{address!r}})
    told = "\\0".join([os.getcwd(), {{name!r}}, str(len(sys.argv) - 1), *sys.argv[1:],
                      *(f"{{{{key}}}}={{{{value}}}}" for key, value in os.environ.items())]).encode()
    socket.send_fds(server, [len(told).to_bytes(8, "little")], [0, 1, 2])
    server.sendall(told)
    child = int(server.recv(16, socket.MSG_WAITALL))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(child, number))
    answer = server.recv(16, socket.MSG_WAITALL)
code = int(answer or 70)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@cache
def commands() -> Path:
    """The folder of the commands; starts the server, which ends with this process."""
    folder = Path(tempfile.mkdtemp(prefix="zsad_warm_"))
    address = str(folder / "socket")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(64)
    for name in ("zsad", "dvc", "python"):
        (folder / name).write_text(CLIENT.format(address=address, name=name))
        (folder / name).chmod(0o755)
    from zsad.common.cpu import settings

    environment = {**os.environ, **settings(deterministic=True, threads=1), "MLFLOW_DISABLE_TELEMETRY": "true"}
    server = subprocess.Popen(
        [sys.executable, __file__, str(listening.fileno())], pass_fds=[listening.fileno()], env=environment
    )
    listening.close()
    atexit.register(server.kill)
    return folder


def serve(listening: socket.socket) -> None:
    """Answer for ever; returns only in the fork that is to run a command."""
    gc.disable()  # no import is garbage, and looking takes a third of the time
    for name in IMPORTED.split():
        __import__(name)
    from mlflow.utils import requirements_utils

    requirements_utils._init_modules_to_packages_map()  # reads of every installed package: a second of each new version
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _forget_torchs_exit()
    gc.freeze()  # forks share what is there
    waiting = selectors.DefaultSelector()
    waiting.register(listening, selectors.EVENT_READ)
    while True:
        for ready, _ in waiting.select():
            if ready.fileobj is listening:
                connection, _ = listening.accept()
                try:
                    streams, told = _asked(connection)
                except ConnectionError:  # a test has killed who asks
                    connection.close()
                    continue
                child = os.fork()  # one for each command: of so large a process it costs 25 ms
                if child == 0:
                    _let_go(waiting)
                    connection.close()
                    return _become(streams, told)
                for stream in streams:
                    os.close(stream)
                _answer(connection, child)
                waiting.register(os.pidfd_open(child), selectors.EVENT_READ, (child, connection))
            else:
                child, connection = ready.data
                waiting.unregister(ready.fileobj)
                os.close(ready.fd)
                _answer(connection, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
                connection.close()


def _forget_torchs_exit() -> None:
    """It takes its operators down one by one and tells what was compiled: 60 ms of every command."""
    from torch._dynamo.utils import dump_compile_times

    atexit.unregister(dump_compile_times)
    for finalizer in list(weakref.finalize._registry):
        finalizer.atexit = False


def _asked(connection: socket.socket) -> tuple[list[int], bytes]:
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    told = b""
    while len(told) < int.from_bytes(size, "little"):
        if not (more := connection.recv(1 << 16)):
            raise ConnectionError
        told += more
    return streams, told


def _answer(connection: socket.socket, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # a test may have killed who asked
        connection.sendall(f"{number:16}".encode())


def _let_go(waiting: selectors.DefaultSelector) -> None:
    """Of other commands: who waits for one is to see it end when the server does."""
    for key in waiting.get_map().values():
        if key.data:
            os.close(key.fd)
            key.data[1].close()
        else:
            key.fileobj.close()  # type: ignore[union-attr]
    waiting.close()


def _become(streams: Sequence[int], told: bytes) -> None:
    """Take on the standard streams, folder, arguments and environment of the command that asked."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    gc.enable()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    directory, name, count, *rest = told.decode(errors="surrogateescape").split("\0")
    arguments, variables = rest[: int(count)], rest[int(count) :]
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(variable.partition("=")[::2] for variable in variables)
    sys.argv = [name, *arguments]
    sys.path[:] = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *sys.path[1:]]


def run() -> int:
    """The command that `sys.argv` names."""
    if sys.argv[0] == "python":
        program, sys.argv[:] = sys.argv[2], ["-c", *sys.argv[3:]]
        sys.path.insert(0, "")
        exec(program, {"__name__": "__main__"})
        return 0
    if sys.argv[0] == "dvc":
        from dvc.cli import main as dvc

        return dvc(sys.argv[1:])
    if sys.argv[1:2] == ["repro"]:
        _fork_workers_from_here()
    from zsad.cli.main import main as zsad

    return zsad()


def _fork_workers_from_here() -> None:
    """Stages of the grid are forks of this process, as warm as the one that they are forked from else."""
    import multiprocessing

    from zsad.pipeline.grid import executors

    class Here(executors.Nursery):
        def __init__(self, *_: str) -> None:
            self.context, self.ready = multiprocessing.get_context("fork"), True

        def open(self) -> None:
            __import__("zsad.pipeline.grid.warm")

    executors.Nursery = Here  # type: ignore[misc]


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
    try:
        code = run()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)  # taking the imported modules down would take a second
