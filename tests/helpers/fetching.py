"""What tests of fetching share: two zips, an impatient policy, and `obtain` in a folder of its own."""

import io
import random
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from zsad.datasets.transport.policy import Policy
from zsad.datasets.transport.transfer import Remote, obtain

Obtain = Callable[..., Path]


def make_zip(size: int, seed: int = 0) -> bytes:
    """A zip with one member of `size` random bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.bin"), random.Random(seed).randbytes(size))  # without the time of day
    return stream.getvalue()


BODY, OTHER = make_zip(300_000), make_zip(300_000, seed=1)
SHA = sha256(BODY).hexdigest()
WAITS: list[float] = []
HASTY = Policy(attempts=4, first_wait=0.01, timeout=5, chunk=1 << 14, progress=1 << 15, sleep=WAITS.append)


def fetcher(tmp_path: Path) -> Obtain:
    """`obtain` of dataset `d` below `tmp_path`."""

    def call(*remotes: Remote, policy: Policy = HASTY) -> Path:
        return obtain("d", remotes, tmp_path / "store", tmp_path / "drop", tmp_path / "lock.yaml", policy)

    return call


def direct(url: str, sha: str | None = SHA, size: int | None = None, file: str = "a.zip") -> Remote:
    return Remote("direct", url=url, file=file, page="http://page/", sha256=sha, size=size)


def drop(tmp_path: Path, name: str, body: bytes) -> Path:
    path = tmp_path / "drop" / "d" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path
