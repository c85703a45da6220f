"""Detection of images with the same pixels under two classes or in two splits."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MAX_EXAMPLES = 3
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def pixel_key(pixels: NDArray[np.uint8]) -> int:
    """Return 64 bits that are equal for equal pixels and sizes; a collision among a million images has chance 3e-8."""
    shape = repr(pixels.shape).encode()
    return int.from_bytes(hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=8, key=shape).digest(), "big")


def location_keys(key: int, x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return the keys of locations (level-0 px, [n]) on a slide whose overview has `key`, uint64 [n].

    The same slide under two names gives equal keys at equal locations.
    """
    locations = x.astype(np.uint64) << np.uint64(32) | y.astype(np.uint64)
    return np.uint64(key) ^ (locations * GOLDEN)


@dataclass(frozen=True)
class DuplicatePixels:
    """Rows whose pixels also occur under another value.

    Attributes:
        rows: mask of these rows, bool [N].
        examples: the first few cases, each with the names and values that share their pixels.
        groups: number of each row's distinct image, counted from 1 in order, and 0 outside `rows`, int64 [N].
        count: number of distinct images.
    """

    rows: NDArray[np.bool_]
    examples: list[str]
    groups: NDArray[np.int64]
    count: int

    def sentence(self, where: str) -> str:
        """Return a warning: 'The same pixels occur under two classes: a/1.png (benign) and b/7.png (malignant)'."""
        more = f" (and {self.count - len(self.examples)} more)" if self.count > len(self.examples) else ""
        return f"The same pixels occur {where}: {'; '.join(self.examples)}{more}"


def find_duplicates(keys: NDArray[np.uint64], values: Iterable[str], names: Iterable[str]) -> DuplicatePixels:
    """Find the rows whose `keys` (from `pixel_key`) occur under more than one of `values`."""
    table = pd.DataFrame({"key": keys, "value": list(values), "name": list(names)})
    pairs = table.drop_duplicates(["key", "value"])
    shared = pairs.loc[pairs.duplicated("key", keep=False)]
    examples = [
        " and ".join(f"{row.name_} ({row.value})" for row in group.rename(columns={"name": "name_"}).itertuples())
        for _, group in list(shared.groupby("key", sort=False))[:MAX_EXAMPLES]
    ]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(shared["key"]), start=1)}
    groups = table["key"].map(numbers).fillna(0).to_numpy(np.int64)
    return DuplicatePixels(groups > 0, examples, groups, len(numbers))
