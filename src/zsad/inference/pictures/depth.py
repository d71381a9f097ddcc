"""Deep pictures: 16 bits a channel, of which a camera may have filled only 10, 12 or 14."""

import numpy as np
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile

from zsad.common.errors import UserError

FULL = 16
PARTIAL = (10, 12, 14)  # what cameras and scanners deliver in 16-bit files
COLOUR = ("RGB;16", "RGBA;16", "RGBX;16")  # how Pillow names the stored form of what it reduces to 8 bits


def check_bits(bits: int | None) -> None:
    """UserError for a number of bits that no deep picture has."""
    if bits is not None and not 8 < bits <= FULL:
        raise UserError(f"--bits {bits}: from 9 to {FULL}; it is for pictures of 16 bits a channel")


def to_eight(values: NDArray[np.integer], bits: int | None) -> NDArray[np.uint8]:
    """Pixels of which the lowest `bits` are in use (None: all 16) as 8 bits, white where these are full.

    ValueError where that is in doubt: no bits named and the upper two are empty, or one that the named cannot hold.
    """
    largest = int(values.max())
    if largest >= 2**FULL or int(values.min()) < 0:
        raise ValueError("32-bit or signed pixels have no known range; save it with 8 or 16 bits a channel")
    if bits is None and 0 < largest < 2 ** PARTIAL[-1]:
        raise ValueError(
            f"its 16-bit pixels reach {largest} of {2**FULL - 1}; say how many bits are in use, "
            f"probably --bits {next(each for each in PARTIAL if largest < 2**each)}; --bits {FULL} if it is just dark"
        )
    if largest >= 2 ** (bits or FULL):
        raise ValueError(f"a pixel of {largest} is more than the {bits} bits of --bits hold")
    return (values >> ((bits or FULL) - 8)).astype(np.uint8)


def is_deep_colour(opened: ImageFile) -> bool:
    """Whether a file that was opened and not yet loaded has 16 bits a colour channel, of which Pillow keeps 8."""
    stored = [tile[3] for tile in opened.tile]
    return any(str(form[0] if isinstance(form, tuple) else form).startswith(COLOUR) for form in stored)


def deep_colour(encoded: bytes) -> NDArray[np.uint16]:
    """All 16 bits of a colour PNG or TIFF, RGB [H, W, 3]; alpha dropped."""
    import cv2

    pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError("its 16-bit colours cannot be read; save it with 8 bits a channel")
    return pixels[..., 2::-1]
