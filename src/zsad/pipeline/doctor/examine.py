"""All findings, in the order in which one depends on the other."""

from collections.abc import Iterator

from zsad.common.errors import UserError
from zsad.config.params import PARAMS_FILE, Params, load_params
from zsad.pipeline.doctor.features import check_features
from zsad.pipeline.doctor.finding import Finding
from zsad.pipeline.doctor.frozen_clips import check_frozen_clips
from zsad.pipeline.doctor.machine import check_machine
from zsad.pipeline.doctor.packages import check_packages
from zsad.pipeline.doctor.pictures import check_pictures
from zsad.pipeline.doctor.records import check_records
from zsad.pipeline.doctor.remote import check_remote
from zsad.pipeline.doctor.repository import check_git


def examine(online: bool = False) -> Iterator[Finding]:
    """What there is and what is missing, here; outside a repository, of this machine alone.

    online: also connect to DVC's remote.
    """
    yield from check_packages()
    params = None
    if not PARAMS_FILE.is_file():
        state = "none here: only this machine is looked at"
        yield Finding(f"{PARAMS_FILE}", "optional", state, "run zsad doctor in the root of a repository")
        yield from check_machine(None)
        yield check_records()
        return
    try:
        params = load_params()
        yield Finding(f"{PARAMS_FILE}", "ok", f"{len(params.configurations)} configurations")
    except UserError as error:
        yield Finding(f"{PARAMS_FILE}", "missing", str(error), f"correct {PARAMS_FILE}")
    yield from check_machine(params)
    if params is not None:
        yield check_features(params)
        yield from _needed_by(params)
    yield check_records()
    yield check_git()
    yield check_remote(online)


def _needed_by(params: Params) -> Iterator[Finding]:
    yield from check_frozen_clips(params)
    try:
        yield from check_pictures(params)
    except UserError as error:  # of an entry of a published set
        yield Finding("datasets", "missing", str(error), f"correct {PARAMS_FILE}, or the file that it names")
