"""A training under a journal, which becomes an MLflow run when it has ended. Loads no MLflow before that."""

from collections.abc import Callable
from typing import Any

from zsad.config.params import Params
from zsad.tracking.journal import Journal, journal_path, lineage, system_sample


def recorded(run: Callable[..., bool], params: Params, key: str, source: str, seed: int | None = None) -> None:
    """Train or adapt (`run`) with a journal of it, which is sent to MLflow in the end; `seed`: only this one."""
    path = journal_path(key, source)
    log = Journal(path)

    def report(event: str, **fields: Any) -> None:
        log.append(event, **fields, **({"tags": lineage()} if event == "start" else {}))
        log.append("system", **system_sample())

    if run(params, key, source, report, None if seed is None else [seed]):
        from zsad.tracking.runs import send  # MLflow is not loaded while a model trains

        send(path)
