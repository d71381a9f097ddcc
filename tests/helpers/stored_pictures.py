"""One picture in every way that people store pictures, and what becomes of it. docs/pictures.md has the same table."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from tests.helpers.models import noise

COLOUR = noise(40, 30)
DEEP = np.random.RandomState(1).randint(0, 2**16, (30, 40, 3)).astype(np.uint16)
DEEP[0, 0] = 2**16 - 1
TWELVE_OF_SIXTEEN = "16 bits a channel, the upper two or more empty"


class Case(NamedTuple):
    """A row of the table, a file's name, how it is written; what is read (`pixels`) or why not (`refused`)."""

    row: str
    name: str
    write: Callable[[Path], Any]
    pixels: np.ndarray | None = None
    refused: str = ""
    tolerance: int = 0
    bits: int | None = None


def of(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"))


def saved(picture: Image.Image, **options: Any) -> Callable[[Path], Any]:
    return lambda path: picture.save(path, **options)


def deep(pixels: np.ndarray) -> Callable[[Path], Any]:
    """Written by OpenCV, which keeps 16 bits of colours; pixels are RGB."""
    return lambda path: cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    COLOUR.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


def cut(path: Path) -> None:
    stored = io.BytesIO()
    COLOUR.save(stored, "PNG")
    path.write_bytes(stored.getvalue()[:-300])


def huge(path: Path) -> None:
    """A header that promises 400 million pixels."""
    path.write_bytes(b"P5\n20000 20000\n255\n")


def several(path: Path) -> None:
    COLOUR.save(path, save_all=True, append_images=[COLOUR.rotate(90), COLOUR.rotate(180)])


PLAIN = "PNG, JPEG, BMP, TIFF, WebP, GIF, JPEG 2000, PGM, PPM"
MODES = "grey, 1 bit, palette, with alpha"
SEVERAL = "several pages or frames: TIFF, GIF, WebP, APNG"
FAULTY = "cut off, empty, no picture, of 179 million pixels and more"
PLACES = "a folder or a link to nowhere by a picture's name"
GREY_DEEP = DEEP[..., 0]

CASES = [
    *(Case(PLAIN, f"a.{end}", saved(COLOUR), of(COLOUR)) for end in ("png", "bmp", "tif", "TIFF", "ppm")),
    Case(PLAIN, "a.jpg", saved(COLOUR, quality=100, subsampling=0), of(COLOUR), tolerance=12),
    Case(PLAIN, "a.webp", saved(COLOUR, lossless=True), of(COLOUR)),
    Case(PLAIN, "a.jp2", saved(COLOUR), of(COLOUR)),
    Case(PLAIN, "a.gif", saved(COLOUR.convert("L")), of(COLOUR.convert("L"))),
    Case(PLAIN, "a.pgm", saved(COLOUR.convert("L")), of(COLOUR.convert("L"))),
    Case(PLAIN, "really_a_png.jpg", saved(COLOUR, format="PNG"), of(COLOUR)),
    *(Case(MODES, f"{mode}.png", saved(COLOUR.convert(mode)), of(COLOUR.convert(mode)))
      for mode in ("L", "1", "P", "LA")),
    Case(MODES, "RGBA.png", saved(noise(40, 30, "RGBA")), of(COLOUR)),
    Case(MODES, "RGBA.webp", saved(noise(40, 30, "RGBA"), lossless=True), of(COLOUR)),
    Case("CMYK", "a.tif", saved(COLOUR.convert("CMYK")), of(COLOUR)),
    Case("CMYK", "a.jpg", saved(COLOUR.convert("CMYK"), quality=100, subsampling=0), of(COLOUR), tolerance=24),
    *(Case("turned by EXIF", f"a.{end}", turned, of(COLOUR)) for end in ("png", "tif")),
    *(Case("16 bits a channel", f"grey.{end}", deep(GREY_DEEP), of(Image.fromarray((GREY_DEEP >> 8).astype(np.uint8))))
      for end in ("png", "tif", "pgm")),
    *(Case("16 bits a channel", f"colour.{end}", deep(DEEP), (DEEP >> 8).astype(np.uint8)) for end in ("png", "tif")),
    Case("16 bits a channel", "black.png", deep(GREY_DEEP * 0), np.zeros((30, 40, 3), np.uint8)),
    *(Case(TWELVE_OF_SIXTEEN, f"grey.{end}", deep(GREY_DEEP >> 4), refused="reach 4095 of 65535; .* probably --bits 12")
      for end in ("png", "tif")),
    Case(TWELVE_OF_SIXTEEN, "colour.png", deep(DEEP >> 2), refused="probably --bits 14"),
    Case(TWELVE_OF_SIXTEEN, "told.png", deep(GREY_DEEP >> 4),
         of(Image.fromarray((GREY_DEEP >> 8).astype(np.uint8))), bits=12),
    Case(TWELVE_OF_SIXTEEN, "told.tif", deep(DEEP >> 6), (DEEP >> 8).astype(np.uint8), bits=10),
    Case(TWELVE_OF_SIXTEEN, "dark.png", deep(GREY_DEEP >> 4),
         of(Image.fromarray((GREY_DEEP >> 12).astype(np.uint8))), bits=16),
    Case(TWELVE_OF_SIXTEEN, "wrong.png", deep(GREY_DEEP), refused="65535 is more than the 12 bits", bits=12),
    Case("floating-point or 32-bit pixels", "float.tif", saved(Image.fromarray(GREY_DEEP.astype(np.float32))),
         refused="floating-point pixels have no known range"),
    Case("floating-point or 32-bit pixels", "long.tif", saved(Image.fromarray(GREY_DEEP.astype(np.int32) * 9)),
         refused="32-bit or signed pixels have no known range"),
    *(Case(SEVERAL, f"a.{end}", several, refused="3 pictures in one file; save each as a file of its own")
      for end in ("tif", "gif", "webp", "png")),
    Case("photos of several views (MPO)", "a.jpg", saved(COLOUR, format="MPO", save_all=True, quality=100,
         subsampling=0, append_images=[COLOUR.rotate(180)]), of(COLOUR), tolerance=12),
    Case(FAULTY, "cut.png", cut, refused="truncated|broken|cut"),
    Case(FAULTY, "empty.png", Path.touch, refused="of no known format; save it as PNG or JPEG"),
    Case(FAULTY, "text.png", lambda path: path.write_text("no picture"), refused="of no known format"),
    Case(FAULTY, "program.png", lambda path: path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n"), refused="no known format"),
    Case(FAULTY, "huge.pgm", huge, refused="too large; scale it down or cut it into tiles"),
    Case(PLACES, "folder.png", Path.mkdir, refused="Is a directory"),
    Case(PLACES, "link.png", lambda path: path.symlink_to("nowhere"), refused="No such file"),
]  # fmt: skip
