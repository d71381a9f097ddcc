"""Any picture as 8-bit RGB, upright as a viewer shows it; what cannot be shown truly is refused by name."""

import io
import struct
from os import PathLike
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps

from zsad.common.errors import UserError
from zsad.datasets.images import DECODE_ERRORS, IMAGE_SUFFIXES, ORIENTATION_TAG, to_rgb
from zsad.inference.pictures.depth import check_bits, deep_colour, is_deep_colour, to_eight
from zsad.inference.pictures.dicom import is_dicom, read_dicom

Picture = Image.Image | np.ndarray | bytes | str | PathLike[str]

# A folder of a dataset is searched for IMAGE_SUFFIXES alone: with more, sets that are there would be others.
PICTURE_SUFFIXES = (*IMAGE_SUFFIXES, ".webp", ".gif", ".jp2", ".pgm", ".ppm", ".dcm")
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "JPEG2000", "PPM")  # by content, whatever the suffix
HOSTILE = (*DECODE_ERRORS, ArithmeticError, LookupError, TypeError, struct.error)  # what parsers raise on spoilt bytes
IN_SEQUENCE = ("GIF", "WEBP", "PNG", "TIFF")  # what else is in a JPEG (MPO) are previews and depth of one photo


def open_picture(image: Picture, bits: int | None = None) -> Image.Image:
    """RGB picture, upright (EXIF orientation applied), alpha dropped; UserError, by name, when it is no such picture.

    bits: how many are in use in pictures of 16 bits a channel (None: all, where the picture does not deny it).
    """
    check_bits(bits)
    if isinstance(image, np.ndarray):
        return _from_pixels(image)
    name = str(image) if isinstance(image, str | PathLike) else "picture"
    try:
        if isinstance(image, Image.Image):
            return _upright(image, bits)
        if isinstance(image, bytes):
            return _from_file(io.BytesIO(image), bits)
        with Path(image).open("rb") as file:
            return _from_file(file, bits)
    except HOSTILE as error:
        raise UserError(f"{name}: not a readable picture ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    """Without the name, which some errors repeat; Pillow's word for an unknown format names our own file object."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "of no known format; save it as PNG or JPEG"
    if isinstance(error, Image.DecompressionBombError):
        return "too large; scale it down or cut it into tiles"
    return getattr(error, "strerror", None) or str(error)


def _from_file(file: IO[bytes], bits: int | None) -> Image.Image:
    if is_dicom(file):
        return to_rgb(read_dicom(file))
    with Image.open(file, formats=FORMATS) as opened:
        count = getattr(opened, "n_frames", 1)
        if opened.format in IN_SEQUENCE and count > 1:
            raise ValueError(f"{count} pictures in one file; save each as a file of its own")
        if is_deep_colour(opened):
            file.seek(0)
            return _turned(Image.fromarray(to_eight(deep_colour(file.read()), bits)), opened)
        return _upright(opened, bits)


def _upright(image: Image.Image, bits: int | None) -> Image.Image:
    if image.mode.startswith("I"):
        eight = Image.fromarray(to_eight(np.asarray(image, dtype=np.int64), bits))
        return to_rgb(_turned(eight, image))
    return to_rgb(ImageOps.exif_transpose(image))


def _turned(pixels: Image.Image, original: Image.Image) -> Image.Image:
    """Pixels turned as the EXIF of the picture that they come from says."""
    pixels.getexif()[ORIENTATION_TAG] = original.getexif().get(ORIENTATION_TAG, 1)
    return ImageOps.exif_transpose(pixels)


def _from_pixels(pixels: np.ndarray) -> Image.Image:
    fits = pixels.ndim >= 2 and pixels.shape[2:] in ((), (3,)) and pixels.size
    if pixels.dtype != np.uint8 or not fits:
        found = f"{pixels.dtype} {list(pixels.shape)}"
        raise UserError(f"picture: an array must be uint8 [H, W, 3] (RGB) or [H, W] (grey), this one is {found}")
    return to_rgb(Image.fromarray(pixels))
