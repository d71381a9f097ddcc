"""One file from Google Drive, through the package gdown when it is installed."""

import importlib
import importlib.util
from pathlib import Path

import requests

from zsad.datasets.transport.download import DownloadError
from zsad.datasets.transport.formats import read_head, wrong_content
from zsad.datasets.transport.meter import byte_meter

TIMEOUT = 60.0  # seconds without a byte
RETRIES = 5


def download_from_drive(identifier: str, target: Path) -> None:
    """The file of that Drive id into `target`; a later call goes on where an earlier one broke off.

    DownloadError when gdown is absent, the quota is used up, the file is private, or the answer is not an archive.
    """
    if importlib.util.find_spec("gdown") is None:
        raise DownloadError("skipped, because the package gdown is not installed (pip install gdown)")
    gdown = importlib.import_module("gdown")
    errors = importlib.import_module("gdown.exceptions")
    try:
        with byte_meter(f"{target.name} from Google Drive") as meter:
            gdown.download(
                id=identifier,
                output=str(target),
                quiet=True,
                resume=True,
                timeout=TIMEOUT,
                retries=RETRIES,
                progress=meter.at,
            )
    except (errors.DownloadError, requests.RequestException) as error:
        raise DownloadError(" ".join(str(error).split())) from error
    if problem := wrong_content(target.name, read_head(target)):
        target.unlink()
        raise DownloadError(f"got {problem}")
