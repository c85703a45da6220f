"""`histoforge preprocess` from a bucket, and onto a full disk: complete, or a one-sentence error with code 2."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from faulty_proxy import FaultyProxy
from preprocessing import folder_by_patient
from s3_server import S3Server, serve_s3, use
from small_disk import mounted_small_disk

from histoforge.cli import main
from histoforge.patches import PatchSet
from histoforge.storage import open_location

BUCKET = "cohort"
IMPATIENT = {"HISTOFORGE_S3_READ_TIMEOUT": "0.7"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server with the images of `folder_by_patient` in the bucket `cohort`."""
    folder = tmp_path_factory.mktemp("s3")
    with serve_s3(folder / "buckets") as server, pytest.MonkeyPatch.context() as patch:
        use(patch, server.endpoint)
        server.bucket(BUCKET)
        open_location(f"s3://{BUCKET}").put_tree(folder_by_patient(folder / "images"))
        yield server


def preprocess(source: str | Path, out: Path, *more: str) -> int:
    """The exit code of the command line."""
    with pytest.raises(SystemExit) as ended:
        main(["preprocess", "--source", str(source), "--out", str(out), "--patch-size", "32", *more])
    return int(ended.value.code or 0)


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """The last line of standard error."""
    return capsys.readouterr().err.rstrip("\n").rpartition("\n")[2]


def test_a_bucket_gives_the_patches_that_the_folder_gives(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, server.endpoint)
    assert preprocess(f"s3://{BUCKET}", tmp_path / "s3") == 0
    assert preprocess(folder_by_patient(tmp_path / "images"), tmp_path / "local") == 0
    for name in ("patches/images/00000.npy", "patches/index.parquet"):
        assert (tmp_path / "s3" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()


def test_the_pixels_may_stay_in_a_bucket(server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, server.endpoint)
    server.bucket("pixels")
    assert preprocess(f"s3://{BUCKET}", tmp_path / "inside") == 0
    assert preprocess(f"s3://{BUCKET}", tmp_path / "outside", "--images-location", "s3://pixels/patches") == 0
    assert not list((tmp_path / "outside").rglob("*.npy"))
    for name in ("patches", "overviews"):
        inside, outside = (PatchSet.open(tmp_path / out / name) for out in ("inside", "outside"))
        assert outside.digest == inside.digest
        np.testing.assert_array_equal(outside.images(), inside.images())


@pytest.mark.parametrize(
    ("source", "settings", "expected"),
    [
        ("s3://absent/slides", {}, "There is no bucket for s3://absent/slides"),
        ("s3://cohort/slides-2", {}, "There is nothing at s3://cohort/slides-2"),
        ("s3://cohort", {"AWS_SECRET_ACCESS_KEY": "wrong"}, "does not accept the access key or its secret"),
        ("s3://cohort", {"HISTOFORGE_S3_ENDPOINT": ""}, "No S3 server is configured"),
    ],
)
def test_a_location_that_is_missing_or_refuses_access(
    server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    source: str,
    settings: dict[str, str],
    expected: str,
) -> None:
    use(monkeypatch, server.endpoint, **settings)
    assert preprocess(source, tmp_path / "out") == 2
    assert expected in sentence(capsys)
    assert not (tmp_path / "out" / "patches").exists()


def test_a_server_that_stops_answering_half_way(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = FaultyProxy(server.port)
    use(monkeypatch, proxy.endpoint, **IMPATIENT)
    proxy.arm("hang", after=40_000, for_good=True)
    assert preprocess(f"s3://{BUCKET}", tmp_path / "out") == 2
    proxy.close()
    assert proxy.struck
    assert "stopped answering at s3://cohort/" in sentence(capsys)
    assert not (tmp_path / "out" / "patches").exists()


def test_a_disk_that_fills_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = folder_by_patient(tmp_path / "images")
    with mounted_small_disk(tmp_path / "small", size="40k") as disk:
        assert preprocess(images, disk / "out") == 2
        assert "The disk is full while writing" in sentence(capsys)
        assert [path for path in disk.rglob("*") if path.is_file()] == []
