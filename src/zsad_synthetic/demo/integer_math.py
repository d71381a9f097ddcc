"""Integer arithmetic for drawing: random integers, sine, square root and angle, the same on every machine.

Angles are in 1/4096 of a turn, sines in 1/4096, lengths in 1/4 of a canvas pixel.
"""

import numpy as np

from zsad.common.seeding import derive_seed

TURN = 4096
UNIT = 4096
_ROOTS = 2048  # square roots below this number come from a table


class Dice:
    """Random integers. Uses raw PCG64 words only: NumPy promises their sequence, not that of its distributions."""

    def __init__(self, *names: object) -> None:
        self._bits = np.random.PCG64(derive_seed("zsad-demo", *names))

    def roll(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + int(self._bits.random_raw()) % (high - low + 1)

    def sign(self) -> int:
        """-1 or 1."""
        return 2 * self.roll(0, 1) - 1

    def rolls(self, low: int, high: int, shape: tuple[int, ...]) -> np.ndarray:
        """int32 array of integers from low to high, both included."""
        raw = np.asarray(self._bits.random_raw(int(np.prod(shape))), dtype=np.uint64) >> np.uint64(11)
        return (low + (raw % np.uint64(high - low + 1)).astype(np.int64)).astype(np.int32).reshape(shape)

    def pick(self, choices: "list[tuple[int, int, int]]") -> tuple[int, int, int]:
        """One of a list of colours."""
        return choices[self.roll(0, len(choices) - 1)]


def _sine_table() -> np.ndarray:
    """Bhaskara's rational approximation 16 x (pi - x) / (5 pi^2 - 4 x (pi - x)): off by less than 0.002."""
    half = TURN // 2
    angle = np.arange(half, dtype=np.int64)
    product = angle * (half - angle)
    arch = UNIT * 16 * product // (5 * half * half - 4 * product)
    return np.concatenate([arch, -arch]).astype(np.int32)


_SINE = _sine_table()
_ROOT_TABLE = np.repeat(np.arange(_ROOTS, dtype=np.int16), 2 * np.arange(_ROOTS) + 1)


def sine(angle: np.ndarray | int) -> np.ndarray:
    """sin in 1/4096 for an angle in 1/4096 of a turn."""
    return _SINE[np.asarray(angle) & (TURN - 1)]


def cosine(angle: np.ndarray | int) -> np.ndarray:
    """cos in 1/4096 for an angle in 1/4096 of a turn."""
    return sine(np.asarray(angle) + TURN // 4)


def root(square: np.ndarray) -> np.ndarray:
    """Floor of the square root, for squares up to 2047^2; larger ones give 2047."""
    return _ROOT_TABLE[np.minimum(square, _ROOT_TABLE.size - 1)].astype(np.int32)


def length(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Euclidean length of integer vectors."""
    return root(x * x + y * y)


def angle_of(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Direction of integer vectors in 1/4096 of a turn, 0 … 4095, off by less than 3."""
    wide, tall = np.abs(x), np.abs(y)
    steep = tall > wide
    ratio = np.minimum(wide, tall) * 512 // np.maximum(np.maximum(wide, tall), 1)
    octant = ratio + 178 * ratio * (512 - ratio) // (512 * 512)
    first = np.where(steep, TURN // 4 - octant, octant)
    half = np.where(x < 0, TURN // 2 - first, first)
    return np.where(y < 0, TURN - half, half) & (TURN - 1)
