"""Training on patches that are read from their files, or from a bucket, beside patches in memory.

    python benchmarks/streaming.py                                   # an epoch of 200,000 patches of 64 px
    python benchmarks/streaming.py --patches 0 --memory 10000 100000 1000000
    python benchmarks/streaming.py --patches 0 --s3 100000 --open 1000000

Epochs: batches alone, and with the training step of a small network, from memory and from files that are dropped from
the page cache before each epoch; the first epoch from files also verifies their digests. Memory: the peak of a process
that streams one epoch. S3: reading all chunks from a local `rclone serve s3`, beside the minio client that reads the
same objects one after the other; and the time to open a patch set with a large index there.
"""

import argparse
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from minio import Minio
from storage import ACCESS_KEY, BUCKET, SECRET_KEY, serve
from timing import CLOCKS, fastest_in_turn, now, surroundings, use_clock
from torch import Tensor, nn

from histoforge.core.digests import digest_file
from histoforge.core.files import write_json
from histoforge.patches import PatchSet, PatchSetWriter, device
from histoforge.patches.chunks import chunk_names
from histoforge.patches.description import read_info
from histoforge.patches.device import PATCH_MEMORY, DevicePatches
from histoforge.patches.shuffling import WINDOW_BYTES
from histoforge.patches.stream import PatchSequence
from histoforge.storage import open_location

SIZE, BATCH, BLOCK = 64, 128, 10_000
CLASSES = ["normal", "tumour"]


def write(folder: Path, count: int) -> None:
    """Write a patch set of random pixels."""
    rng = np.random.default_rng(0)
    with PatchSetWriter.create(folder, CLASSES, (SIZE, SIZE), 0.5) as writer:
        for start in range(0, count, BLOCK):
            rows = np.arange(start, min(start + BLOCK, count))
            images = rng.integers(0, 256, (len(rows), SIZE, SIZE, 3), dtype=np.uint8)
            writer.add(images, label=rows % 2, patient=[f"p{row // 1000}" for row in rows], slide="s", x=rows, y=rows)
        writer.finish({"step": "benchmark"})


def load(folder: Path, streamed: bool) -> DevicePatches:
    """Load a patch set into memory, or to be read from its files."""
    os.environ[PATCH_MEMORY] = "0" if streamed else "1000"
    return DevicePatches.load(PatchSet.open(folder), "cpu")


def seconds_of_epochs(data: DevicePatches, step: Callable[[Tensor], object], before: Callable[[], None]) -> list[float]:
    """Return the seconds of two epochs; `before` is called ahead of each."""
    orders = [data.order(torch.Generator().manual_seed(0))]
    seconds = []
    for number in range(2):
        orders.append(data.order(torch.Generator().manual_seed(number + 1)))  # so that its patches are read ahead
        before()
        began = now()
        for rows in orders[number].split(BATCH):
            step(data.batch(rows).images)
        seconds.append(now() - began)
    return seconds


def small_network() -> Callable[[Tensor], object]:
    """Return the training step of a small network."""
    network = nn.Sequential(nn.Conv2d(3, 32, 4, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 4), nn.ReLU(), nn.Flatten())
    optimizer = torch.optim.Adam(network.parameters())

    def step(images: Tensor) -> None:
        optimizer.zero_grad()
        network(images).square().mean().backward()
        optimizer.step()

    return step


def forget(folder: Path) -> None:
    """Drop the files of a patch set from the page cache."""
    for path in folder.rglob("*.npy"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure_epochs(folder: Path, count: int) -> None:
    """Print the rates of epochs from memory and from files."""
    write(folder, count)
    print(f"\n**Epochs of {count:,} patches of {SIZE} px, batches of {BATCH}, patches per second**\n")
    print("| | from memory | from files, first epoch | from files | share |\n| --- | ---: | ---: | ---: | ---: |")
    for name, step in (("batches alone", Tensor.numel), ("with a small network", small_network())):
        memory = min(seconds_of_epochs(load(folder, streamed=False), step, lambda: None))
        first, further = seconds_of_epochs(load(folder, streamed=True), step, lambda: forget(folder))
        rates = " | ".join(f"{count / seconds:,.0f}" for seconds in (memory, first, further))
        print(f"| {name} | {rates} | {memory / further:.0%} |")


def peak(folder: str) -> tuple[float, float]:
    """Stream one epoch, and return the peak memory before and after it, MiB."""
    before = peak_memory()
    data = load(Path(folder), streamed=True)
    for rows in data.order(torch.Generator().manual_seed(0)).split(BATCH):
        data.batch(rows)
    return before, peak_memory()


def peak_memory() -> float:
    """Return the peak memory of this program, MiB; `getrusage` would include the process that started it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def measure_memory(folder: Path, counts: list[int]) -> None:
    """Print the peak memory of a process that streams an epoch, by the number of patches."""
    print("\n**Peak memory of a streamed epoch**\n\n| patches | pixels, MiB | before, MiB | peak, MiB |")
    print("| ---: | ---: | ---: | ---: |")
    for count in counts:
        write(folder, count)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            before, after = pool.apply(peak, (str(folder),))
        print(f"| {count:,} | {count * 3 * SIZE**2 / 2**20:,.0f} | {before:,.0f} | {after:,.0f} |", flush=True)


def measure_s3(folder: Path, count: int, client: Minio) -> None:
    """Print the rate of reading all patches from a bucket, and that of the bare client."""
    write(folder, count)
    open_location(f"s3://{BUCKET}/set").put_tree(folder)
    patches = PatchSet.open(f"s3://{BUCKET}/set")
    sequence, names = PatchSequence([patches]), chunk_names(count, patches.patch_size)

    def one_by_one() -> None:
        for name in names:
            response = client.get_object(BUCKET, f"set/{name}")
            response.read()
            response.close()
            response.release_conn()

    best = fastest_in_turn({"client": one_by_one, "patches": lambda: sequence.read(np.arange(count))}, 3)
    rates = {name: count * 3 * SIZE**2 / 1e6 / seconds for name, (seconds, _) in best.items()}
    print(f"\n**{count:,} patches from a bucket**: {rates['patches']:,.0f} MB/s, ", end="")
    print(f"{rates['patches'] / rates['client']:.2f} times the {rates['client']:,.0f} MB/s of the bare client")


def measure_opening(folder: Path, count: int) -> None:
    """Print the time to open a patch set in a bucket, of which only the description and the index exist."""
    write(folder, 1)
    rows, rng = np.arange(count), np.random.default_rng(0)
    index = pd.read_parquet(folder / "index.parquet").iloc[np.zeros(count, np.int64)].reset_index(drop=True)
    index = index.assign(x=rng.integers(0, 100_000, count), y=rng.integers(0, 100_000, count), tissue=rng.random(count))
    index = index.assign(patient=[f"p{row // 5000}" for row in rows], slide=[f"s{row // 2000}" for row in rows])
    index.to_parquet(folder / "index.parquet", index=False)
    files = dict.fromkeys(chunk_names(count, (SIZE, SIZE)), "0" * 64)
    files["index.parquet"] = digest_file(folder / "index.parquet")
    info = read_info(folder).model_copy(update={"files": files})
    info = info.model_copy(update={"digest": info.compute_digest()})
    write_json(folder / "patchset.json", info.model_dump(mode="json"))
    open_location(f"s3://{BUCKET}/large").put_tree(folder)
    ((_, (seconds, patches)),) = fastest_in_turn({"open": lambda: PatchSet.open(f"s3://{BUCKET}/large")}, 3).items()
    size = (folder / "index.parquet").stat().st_size / 1e6
    print(f"\n**Opening a set of {len(patches):,} patches in a bucket**: {seconds:.2f} s (index of {size:.1f} MB)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=200_000, help="patches of the epochs; 0 for no epochs")
    parser.add_argument("--memory", type=int, nargs="*", default=[], help="numbers of patches")
    parser.add_argument("--s3", type=int, default=0, help="patches to read from a bucket")
    parser.add_argument("--open", type=int, default=0, help="rows of the index to open in a bucket")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="time of the epochs")
    parser.add_argument("--window-mib", type=int, default=WINDOW_BYTES >> 20, help="size of a window")
    given = parser.parse_args()
    device.WINDOW_BYTES = given.window_mib << 20
    use_clock(given.clock)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if given.patches:
            measure_epochs(folder / "set", given.patches)
        if given.memory:
            measure_memory(folder / "set", given.memory)
        if given.s3 or given.open:
            with serve(folder / "buckets") as port:
                os.environ.update(
                    HISTOFORGE_S3_ENDPOINT=f"http://127.0.0.1:{port}",
                    AWS_ACCESS_KEY_ID=ACCESS_KEY,
                    AWS_SECRET_ACCESS_KEY=SECRET_KEY,
                )
                client = Minio(f"127.0.0.1:{port}", ACCESS_KEY, SECRET_KEY, secure=False, region="us-east-1")
                if given.s3:
                    measure_s3(folder / "set", given.s3, client)
                if given.open:
                    measure_opening(folder / "large", given.open)
    print("\n" + surroundings(["numpy", "torch", "minio"]))


if __name__ == "__main__":
    main()
