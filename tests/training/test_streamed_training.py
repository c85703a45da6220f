"""Training on patches that are read from their files ends with the weights of training on patches in memory."""

import signal
from functools import partial

import pytest
from processes import run_process
from toy import pixels, train

from histoforge.patches import PatchSetWriter, chunks, device

CHUNK_BYTES, WINDOW_BYTES = 5 * 3 * 8 * 8, 20 * 3 * 8 * 8


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    """The patches of the small training in chunks of five, of which windows hold up to twenty."""
    folder = tmp_path_factory.mktemp("patches") / "set"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_BYTES", CHUNK_BYTES)
        with PatchSetWriter.create(folder, ["a", "b"], (8, 8)) as writer:
            writer.add(pixels(), label=[row % 2 for row in range(50)])
            writer.finish({"step": "test"})
    return folder


@pytest.fixture(scope="module")
def in_memory(patches, tmp_path_factory):
    """The weights after a training in memory."""
    folder = tmp_path_factory.mktemp("in-memory")
    assert run(folder, patches).code == 0
    return weights(folder)


def run(folder, patches, **options):
    trained = partial(train_in_windows, patches=patches, **options)
    return run_process(folder / "stderr", trained, folder / "work", folder / "model")


def train_in_windows(*arguments, **options):
    """Train in a process of its own, with the sizes of `patches`."""
    chunks.CHUNK_BYTES, device.WINDOW_BYTES = CHUNK_BYTES, WINDOW_BYTES
    train(*arguments, **options)


def weights(folder):
    return (folder / "model" / "model.safetensors").read_bytes()


@pytest.fixture
def streamed(monkeypatch):
    monkeypatch.setenv("HISTOFORGE_PATCH_MEMORY", "0")


def test_a_streamed_training_ends_with_the_same_weights(patches, in_memory, streamed, tmp_path):
    assert run(tmp_path, patches).code == 0
    assert weights(tmp_path) == in_memory


@pytest.mark.parametrize("die_at", [6, 11])
def test_a_streamed_training_resumes_in_the_middle_of_a_window(patches, in_memory, streamed, tmp_path, die_at):
    assert run(tmp_path, patches, die_at=die_at, die_with=signal.SIGKILL).code == -signal.SIGKILL
    resumed = run(tmp_path, patches)
    assert resumed.code == 0, resumed.stderr
    assert f"resumes after step {die_at // 4 * 4} of" in resumed.stderr
    assert weights(tmp_path) == in_memory


def test_a_training_resumes_on_a_machine_with_less_memory(patches, in_memory, tmp_path, monkeypatch):
    run(tmp_path, patches, die_at=11)
    monkeypatch.setenv("HISTOFORGE_PATCH_MEMORY", "0")
    assert run(tmp_path, patches).code == 0
    assert weights(tmp_path) == in_memory
