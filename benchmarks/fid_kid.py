"""FID and KID of given features, side by side with clean-fid's own functions in one run.

    python benchmarks/fid_kid.py                                  # 10,000 features of 2,048 dimensions
    python benchmarks/fid_kid.py --samples 2000 --dimensions 512

Both sides start from the same float32 features and include the covariances. The features resemble those of a pooled
ReLU layer: correlated and non-negative. Each function runs `--repeats` times in turn, and its fastest time is reported.
"""

import argparse
import json
import os
import platform

import cleanfid.fid
import numpy as np
import scipy
import scipy.linalg
import torch
from numpy.typing import NDArray
from timing import fastest_in_turn

from histoforge.metrics.frechet import frechet_distance
from histoforge.metrics.kid import kernel_distances

Features = NDArray[np.float32]


def draw_features(samples: int, dimensions: int, seed: int, shift: float) -> Features:
    """Return features [samples, dimensions], float32."""
    mixing = np.random.default_rng(0).normal(size=(dimensions, dimensions)) / np.sqrt(dimensions)
    noise = np.random.default_rng(seed).normal(size=(samples, dimensions))
    return np.maximum(noise @ mixing + noise + shift, 0).astype(np.float32)


def cleanfid_fid(real: Features, fake: Features) -> float:
    """Compute clean-fid's FID; with SciPy 1.18 and later, where its function fails, by the same formula."""
    means, covariances = [side.mean(0) for side in (real, fake)], [np.cov(side, rowvar=False) for side in (real, fake)]
    try:
        return float(cleanfid.fid.frechet_distance(means[0], covariances[0], means[1], covariances[1]))
    except TypeError:
        root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
        gap = means[0] - means[1]
        return float(gap @ gap + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * np.trace(root))


def cleanfid_kid(real: Features, fake: Features) -> float:
    """Compute clean-fid's KID on the subsets of seed 0."""
    np.random.seed(0)  # noqa: NPY002 - clean-fid draws its subsets from this generator
    return cleanfid.fid.kernel_distance(real, fake)


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--dimensions", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    real = draw_features(options.samples, options.dimensions, seed=1, shift=0.0)
    fake = draw_features(options.samples, options.dimensions, seed=2, shift=0.05)
    fid = fastest_in_turn(
        {"histoforge": lambda: frechet_distance(real, fake), "cleanfid": lambda: cleanfid_fid(real, fake)},
        options.repeats,
    )
    kid = fastest_in_turn(
        {
            "histoforge": lambda: kernel_distances(real, fake, seed=0).subset_mean,
            "cleanfid": lambda: cleanfid_kid(real, fake),
        },
        options.repeats,
    )
    both = {name: fid[name][0] + kid[name][0] for name in fid}
    results = {
        "samples": options.samples,
        "dimensions": options.dimensions,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "versions": {"torch": torch.__version__, "numpy": np.__version__, "scipy": scipy.__version__},
    }
    for name, measured in (("fid", fid), ("kid", kid)):
        (seconds, value), (cleanfid_seconds, cleanfid_value) = measured["histoforge"], measured["cleanfid"]
        results[name] = {
            "histoforge_seconds": round(seconds, 3),
            "cleanfid_seconds": round(cleanfid_seconds, 3),
            "times_as_fast": round(cleanfid_seconds / seconds, 2),
            "histoforge_value": value,
            "cleanfid_value": cleanfid_value,
            "relative_difference": abs(value - cleanfid_value) / abs(cleanfid_value),
        }
    results["both_times_as_fast"] = round(both["cleanfid"] / both["histoforge"], 2)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
