"""DVC's remote: which one is configured, and whether it can be reached. Only a folder is looked at unless asked."""

import configparser
import importlib.util
from pathlib import Path
from urllib.parse import urlsplit

from zsad.pipeline.doctor.finding import Finding
from zsad.tracking.store import ANSWER_SECONDS

WHAT = "DVC remote"
CONFIGS = (Path(".dvc/config"), Path(".dvc/config.local"))  # the later one counts
SCHEMES = ("azure", "gdrive", "gs", "hdfs", "oss", "s3", "ssh", "webdav")
PACKAGES = {**{scheme: f"dvc_{scheme}" for scheme in SCHEMES}, "webdavs": "dvc_webdav"}  # how DVC gets there


def check_remote(online: bool) -> Finding:
    """online: ask a remote that is not a folder as well."""
    name, url = configured()
    if not name:
        return Finding(WHAT, "optional", "none: results stay on this machine", "dvc remote add --default NAME URL")
    if not url:
        return Finding(WHAT, "missing", f"{name} is the default, but is not configured", f"dvc remote add {name} URL")
    scheme = urlsplit(url).scheme if "://" in url else ""
    package = PACKAGES.get(scheme)
    if package and importlib.util.find_spec(package) is None:
        return Finding(WHAT, "missing", f"{name} at {url}", f"pip install {package.replace('_', '-')}")
    if scheme in ("", "file"):
        return _folder(name, Path(url.removeprefix("file://")))
    if not online:
        return Finding(WHAT, "ok", f"{name} at {url}, not asked", "zsad doctor --online")
    return _asked(name, url)


def configured() -> tuple[str, str]:
    """(name, url) of the default remote, empty where there is none; a folder as seen from here."""
    name, urls = "", {}
    for file in CONFIGS:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(file, encoding="utf-8")
        name = parser.get("core", "remote", fallback=name)
        for section in parser.sections():
            if section.strip("'").startswith("remote ") and parser.has_option(section, "url"):
                url = parser.get(section, "url")
                urls[section.strip("'").split()[1].strip('"')] = url if "://" in url else str(file.parent / url)
    return name, urls.get(name, "")


def _folder(name: str, folder: Path) -> Finding:
    if folder.is_dir():
        return Finding(WHAT, "ok", f"{name}, the folder {folder}")
    return Finding(
        WHAT, "missing", f"{name}: no folder {folder}", "mount or make it, or dvc remote modify " + name + " url URL"
    )


def _asked(name: str, url: str) -> Finding:
    ask = ask_web if urlsplit(url).scheme in ("http", "https") else ask_dvc
    if why := ask(name, url):
        return Finding(WHAT, "missing", f"{name} at {url}: {why}", f"dvc remote modify {name} --help")
    return Finding(WHAT, "ok", f"{name} at {url} answers")


def ask_web(_: str, url: str) -> str:
    """What is wrong; a server that answers anything is there (DVC's own question cannot tell)."""
    import requests

    try:
        requests.head(url, timeout=ANSWER_SECONDS)
    except requests.RequestException as error:
        return f"does not answer ({type(error).__name__})"
    return ""


def ask_dvc(name: str, _: str) -> str:
    """What is wrong; an empty remote is none."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repository:
            remote = repository.cloud.get_remote_odb(name)
            remote.fs.ls(remote.path, detail=False)
    except FileNotFoundError:
        return ""
    except (DvcException, OSError, ValueError) as error:
        return str(error) or type(error).__name__
    return ""
