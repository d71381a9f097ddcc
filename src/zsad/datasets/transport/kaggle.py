"""One dataset of Kaggle, through its official package kaggle when that is installed and logged in."""

import importlib
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import requests
import urllib3

from zsad.common.io import full_disk_named
from zsad.common.progress import log
from zsad.datasets.transport.disk_space import require_space
from zsad.datasets.transport.download import DownloadError
from zsad.datasets.transport.formats import read_head, wrong_content

LOGIN = (
    "get a token on https://www.kaggle.com/settings and save it as ~/.kaggle/kaggle.json (a legacy API key) "
    "or ~/.kaggle/access_token (a new one)"
)
REFUSED = (401, 403)  # HTTP statuses for a token that is wrong, or may not have this dataset


def download_from_kaggle(dataset: str, target: Path, size: int | None = None) -> None:
    """The zip of all files of `dataset` (owner/slug) into `target`; a later call goes on where one broke off.

    size: of the zip in bytes, when known. UserError when the disk is too full for it. DownloadError when kaggle is
    absent or not logged in, the server refuses, or the answer is not an archive.
    """
    arrived = target.with_name(dataset.rpartition("/")[2] + ".zip")  # the client's choice of name
    here = arrived.stat().st_size if arrived.exists() else 0
    require_space(target.parent, (size or 0) - here, f"the rest of {target.name}")
    client = _logged_in()
    log(f"{target.name}: fetching from Kaggle {dataset}")
    try:
        with full_disk_named(arrived), redirect_stdout(sys.stderr):  # the client prints where our results go
            client.dataset_download_files(dataset, path=str(target.parent), unzip=False, quiet=True)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise DownloadError(_cause(error)) from error
    if problem := wrong_content(arrived.name, read_head(arrived)):
        arrived.unlink()
        raise DownloadError(f"got {problem}")
    arrived.replace(target)


def _logged_in() -> Any:
    """A KaggleApi that has a token. Importing it logs in as well, so that it says everything twice."""
    said = StringIO()  # without a token a page of advice, for which LOGIN stands
    try:
        with redirect_stdout(said):
            client = importlib.import_module("kaggle.api.kaggle_api_extended").KaggleApi()
            client.authenticate()
    except ImportError as error:
        raise DownloadError("skipped, because the package kaggle is not installed (pip install kaggle)") from error
    except requests.RequestException as error:  # a token is shown to the server first
        raise DownloadError(_cause(error)) from error
    except (OSError, ValueError) as error:
        raise DownloadError(f"not logged in to Kaggle ({error}); {LOGIN}") from error
    except SystemExit as error:
        if error.code != 1:  # not the client's: this process was told to end
            raise
        raise DownloadError(f"not logged in to Kaggle; {LOGIN}") from error
    for line in dict.fromkeys(said.getvalue().splitlines()):
        log(line)
    return client


def _cause(error: Exception) -> str:
    """One line for the client's error, with the remedy when the token is to blame."""
    reason = " ".join(str(error).split())
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"{reason}; if the token is to blame, {LOGIN}" if status in REFUSED else reason
