"""Pictures decoded ahead by threads, in order, no more at once than memory is meant for."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from os import stat_result
from stat import S_ISREG
from typing import NamedTuple, Protocol, TypeVar

from PIL import Image

from zsad.common.errors import UserError
from zsad.inference.pictures.opening import open_picture
from zsad.inference.pictures.sources import Source

MOST_PIXELS = 32_000_000  # at once in each part of a run: decoded ahead, in a batch, being written


class Stamp(NamedTuple):
    """What tells that a file is another than before, without reading it."""

    size: int  # bytes
    mtime: int  # ns


class Decoded(NamedTuple):
    """A picture, or why it could not be read."""

    source: Source
    stamp: Stamp | None
    picture: Image.Image | None
    error: str = ""

    @property
    def pixels(self) -> int:
        """How many; at least one."""
        return self.picture.width * self.picture.height if self.picture else 1


class Opened(Protocol):
    """What batches are made of: a picture, or None for one that takes no place in a batch."""

    @property
    def picture(self) -> Image.Image | None: ...

    @property
    def pixels(self) -> int: ...


T = TypeVar("T", bound=Opened)


def stamp_of(status: stat_result) -> Stamp:
    """The stamp of a file."""
    return Stamp(status.st_size, status.st_mtime_ns)


def decode_ahead(
    sources: Iterable[Source], pool: ThreadPoolExecutor, ahead: int, bits: int | None = None
) -> Generator[Decoded]:
    """Each picture in order, at most `ahead` further ones decoded or in work; fewer where they are large."""
    pending: deque[Future[Decoded]] = deque()
    waiting, limit = iter(sources), ahead
    while True:
        more = islice(waiting, max(0, limit - len(pending)))
        pending.extend(pool.submit(partial(_decode, bits=bits), one) for one in more)
        if not pending:
            return
        decoded = pending.popleft().result()
        limit = fitting(ahead, decoded.pixels)
        yield decoded


def fitting(count: int, pixels: int) -> int:
    """How many pictures of that size are held at once, where small ones were `count`; at least one."""
    return max(1, min(count, MOST_PIXELS // pixels))


def in_batches(decoded: Iterable[T], size: int) -> Iterator[list[T]]:
    """Batches of at most `size` readable pictures; unreadable ones among them. Large ones make small batches."""
    batch: list[T] = []
    for one in decoded:
        batch.append(one)
        readable = [each for each in batch if each.picture]
        if len(readable) >= size or len(batch) >= 8 * size or sum(each.pixels for each in readable) >= MOST_PIXELS:
            yield batch
            batch = []
    if batch:
        yield batch


def _decode(source: Source, bits: int | None) -> Decoded:
    """Its stamp is taken first: what changes while it is read will be another file to the next run."""
    stamp = None
    try:
        status = source.file.stat()
        stamp = stamp_of(status)
        if not S_ISREG(status.st_mode):  # a pipe would be waited for
            return Decoded(source, stamp, None, f"{source.file}: not a readable picture (it is no file)")
        return Decoded(source, stamp, open_picture(source.file, bits))
    except OSError as error:
        return Decoded(source, stamp, None, f"{source.file}: not a readable picture ({error.strerror})")
    except UserError as error:
        return Decoded(source, stamp, None, str(error))
