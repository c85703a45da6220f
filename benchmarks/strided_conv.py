"""The strided convolutions of DCGAN-64 in bfloat16: oneDNN's kernels against matrix products, and plain products.

    OMP_NUM_THREADS=1 python benchmarks/strided_conv.py

For each layer of the discriminator: the convolution, its transpose and the gradient of its weights, computed in both
ways of `layers/strided_conv.py`, which uses the faster one on this kind of processor. It measures processor time with
one thread, so that it can run on a busy machine, and reports the fastest call of each.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch
from timing import fastest, surroundings, use_clock

from histoforge.layers import strided_conv

LAYERS = ((3, 64, 32), (64, 128, 16), (128, 256, 8), (256, 512, 4))
MATRIX = 2048


def both_ways(function: Callable[[], Any], rounds: int) -> list[float]:
    """Return the seconds with oneDNN's kernels, and as matrix products."""
    times = []
    for largest_map in (0, MATRIX**2):
        strided_conv.SMALL_MAP, strided_conv.HAS_AMX = largest_map, True
        times.append(fastest(function, rounds))
    return times


def main() -> None:
    """Print one row for each of the three operations of each layer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    use_clock("processor")
    print(f"{surroundings(['torch'])}; processor time")
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.randn(MATRIX, MATRIX, dtype=dtype)
        rate = 2 * MATRIX**3 / fastest(lambda: matrix @ matrix, arguments.rounds) / 1e9  # noqa: B023 - called at once
        print(f"product of matrices of {MATRIX:,} x {MATRIX:,} in {dtype}: {rate:.0f} GFLOP/s")
    print("\n| layer | operation | oneDNN, GFLOP/s | products, GFLOP/s |\n| --- | --- | ---: | ---: |")
    for channels, out_channels, side in LAYERS:
        shapes = (arguments.batch, channels, 2 * side, 2 * side), (arguments.batch, out_channels, side, side)
        large, small = (torch.randn(shape).bfloat16().contiguous(memory_format=torch.channels_last) for shape in shapes)
        weight = torch.randn(out_channels, channels, 4, 4).bfloat16()
        operations: dict[str, tuple[Callable[..., Any], Any, Any]] = {
            "convolution": (strided_conv._convolved, large, weight),
            "transpose": (strided_conv._transposed, small, weight),
            "weight gradient": (strided_conv._weight_gradient, large, small),
        }
        work = 2 * arguments.batch * side**2 * 16 * channels * out_channels / 1e9
        for name, (function, first, second) in operations.items():
            rates = [work / seconds for seconds in both_ways(lambda: function(first, second), arguments.rounds)]  # noqa: B023 - called at once
            layer = f"{channels} to {out_channels}, map of {side}x{side}"
            print(f"| {layer} | {name} | {rates[0]:.0f} | {rates[1]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
