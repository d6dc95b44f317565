"""Find all numbers from 0 to 255 in a block of text with array operations on its bytes.

In a text such as `70 80 82`, the value of a number is its last digit, plus ten times the digit before and a hundred
times the digit before that. The computation uses uint8 and reuses its buffers for every block, which is fast because a
megabyte and its buffers fit into the CPU cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

_ZERO, _TEN, _BLANK = np.uint8(ord("0")), np.uint8(10), np.uint8(ord(" "))


@dataclass(frozen=True)
class Scan:
    """The numbers in a text. Positions are offsets into it, ascending.

    Args:
        ends: int64 (m,), position of the last digit of each run of digits.
        values: uint8 (m,), value of each run; invalid for runs in `doubtful`.
        foreign: int64, positions of the bytes that are neither digits nor spaces.
        doubtful: int64, positions in runs of more than three digits or of a number above 255.
    """

    ends: NDArray[np.int64]
    values: NDArray[np.uint8]
    foreign: NDArray[np.int64]
    doubtful: NDArray[np.int64]


class Scanner:
    """Scan texts one after the other with the same buffers."""

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[np.uint8]] = {}

    def scan(self, text: NDArray[np.uint8]) -> Scan:
        """Find the numbers in a text.

        Args:
            text: uint8 (n,); must not end in a digit (lines end in a line feed).
        """
        value = np.subtract(text, _ZERO, out=self._buffer("value", text))  # wraps: other bytes are 10 or more
        digit = np.less(value, _TEN, out=self._buffer("digit", text, np.bool_))
        mask = digit.view(np.uint8)  # 0 and 1, because NumPy is slow at converting bool to uint8
        foreign = self._foreign(text, digit)
        np.multiply(value, mask, out=value)  # 0 for other bytes
        two = self._append_digit(value, value, "two")
        np.multiply(two, mask, out=two)
        three = self._append_digit(two, value, "three")
        ends = np.flatnonzero(np.greater(mask[:-1], mask[1:], out=self._buffer("end", text, np.bool_)[:-1]))
        return Scan(ends, three.take(ends), foreign, self._doubtful(digit, value, two, three))

    def _buffer(self, name: str, text: NDArray[np.uint8], dtype: DTypeLike = np.uint8) -> NDArray[np.uint8]:
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < text.size:
            buffer = self._buffers[name] = np.empty(text.size, dtype)
        return buffer[: text.size]

    def _foreign(self, text: NDArray[np.uint8], digit: NDArray[np.uint8]) -> NDArray[np.int64]:
        plain = np.equal(text, _BLANK, out=self._buffer("plain", text, np.bool_))
        np.logical_or(plain, digit, out=plain)
        return np.flatnonzero(np.logical_not(plain, out=plain))

    def _append_digit(
        self, number: NDArray[np.uint8], digit: NDArray[np.uint8], name: str
    ) -> NDArray[np.uint8]:
        """Return for each byte ten times the number that ends one byte before, plus its own digit, modulo 256."""
        result = np.multiply(number, _TEN, out=self._buffer("tens", digit))
        target = self._buffer(name, digit)
        target[:1] = digit[:1]
        np.add(result[:-1], digit[1:], out=target[1:])
        return target

    def _doubtful(
        self,
        digit: NDArray[np.uint8],
        value: NDArray[np.uint8],
        two: NDArray[np.uint8],
        three: NDArray[np.uint8],
    ) -> NDArray[np.int64]:
        wrong = np.less(
            three, value, out=self._buffer("wrong", value, np.bool_)
        )  # 256 to 259, wrapped to 0 to 3
        pair = np.logical_and(digit[1:], digit[:-1], out=self._buffer("pair", value, np.bool_)[1:])
        flag = np.greater(two[:-1], 25, out=self._buffer("flag", value, np.bool_)[1:])
        wrong[1:] |= np.logical_and(flag, pair, out=flag)  # 260 and more
        wrong[3:] |= np.logical_and(pair[2:], pair[:-2], out=flag[2:])  # four digits
        return np.flatnonzero(wrong) if wrong.any() else np.empty(0, np.int64)
