"""The engine: exact resuming, errors that keep the last checkpoint, batches, log and announcements."""

import re
import signal
from collections import Counter
from functools import partial

import pytest
import torch
from processes import run_process
from toy import data, train

from histoforge.cli.kubeflow.check.preemption import RESUMED
from histoforge.core.errors import CheckpointError, SettingsError, TrainingError
from histoforge.core.signals import TERMINATED
from histoforge.core.timings import forget_work, work_so_far
from histoforge.training import processes
from histoforge.training.device import has_bfloat16, resolve_device, resolve_precision
from histoforge.training.engine import Engine
from histoforge.training.log import read_log
from histoforge.training.stopping import StopRequest
from histoforge.training.timing import timing_trial


def run_toy(tmp_path, **options):
    return run_process(tmp_path / "stderr", partial(train, **options), tmp_path / "work", tmp_path / "model")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run_toy(folder).code == 0
    return folder


STOPS = [(2, signal.SIGKILL), (11, signal.SIGKILL), (6, signal.SIGTERM), (7, signal.SIGINT)]


@pytest.mark.parametrize(("die_at", "die_with"), STOPS)
def test_a_stopped_training_resumes_to_the_same_bytes(tmp_path, undisturbed, die_at, die_with):
    first = run_toy(tmp_path, die_at=die_at, die_with=die_with)
    assert first.code == (-die_with if die_with == signal.SIGKILL else 128 + die_with)
    assert not (tmp_path / "model").exists()
    second = run_toy(tmp_path)
    assert second.code == 0, second.stderr
    resumed_after = {2: None, 11: 8, 6: 6, 7: 7}[die_at]
    assert ("resumes after step" in second.stderr) == (resumed_after is not None)
    if resumed_after is not None:
        assert f"resumes after step {resumed_after} of" in second.stderr
        assert RESUMED.search(second.stderr)[1] == str(resumed_after)  # as the check of a cluster reads it
    for name in ("model/model.safetensors", "model/model.json", "work/training.jsonl"):
        assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes()


def test_the_first_ctrl_c_stops_with_a_checkpoint_and_the_second_ends_at_once(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    first = run_toy(tmp_path / "one", die_at=6, die_with=signal.SIGINT)
    assert "press Ctrl-C again to stop at once" in first.stderr
    assert first.stderr.splitlines()[-1] == (
        "training: stopped by Ctrl-C after step 6; run the same command again to resume from there."
    )
    assert list((tmp_path / "one" / "work").rglob("checkpoint-0000000006-*"))
    second = run_toy(tmp_path / "two", die_at=6, die_with=signal.SIGINT, times=2)
    assert second.code == -signal.SIGINT
    assert not list((tmp_path / "two" / "work").rglob("checkpoint-0000000006-*"))


def test_a_process_that_ignores_ctrl_c_goes_on_ignoring_it(monkeypatch):
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.signum == 0
            signal.raise_signal(signal.SIGTERM)
            assert (stop.signum, stop.exit_code) == (signal.SIGTERM, TERMINATED)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, previous)


def test_a_sigterm_during_the_exchange_of_flags_stops_at_the_next_step(tmp_path, monkeypatch):
    agree, flags = processes.any_process, []

    def interrupted(flag, device):
        flags.append(flag)
        if len(flags) == 1:
            signal.raise_signal(signal.SIGTERM)
        return agree(flag, device)

    engine = Engine(tmp_path, {}, device="cpu", checkpoint_every=0)
    monkeypatch.setattr(processes, "any_process", interrupted)
    with pytest.raises(SystemExit):
        for _ in engine.batches(data(), batch_size=16, epochs=5):
            engine.end_of_step()
    assert engine.global_step == 2


def test_the_checkpoint_is_deleted_when_the_model_is_written(undisturbed):
    assert list((undisturbed / "work").rglob("checkpoint-*")) == []


def test_a_loss_that_is_not_finite_stops_with_the_step_and_keeps_the_last_good_checkpoint(tmp_path):
    with pytest.raises(TrainingError, match="not finite at step 7 .*last good checkpoint is kept in"):
        train(tmp_path / "work", tmp_path / "model", poison_at=7)
    (checkpoint,) = (tmp_path / "work").rglob("checkpoint-*.safetensors")
    assert checkpoint.name.startswith("checkpoint-0000000004-")
    assert not (tmp_path / "model").exists()


def test_a_damaged_checkpoint_is_detected(tmp_path):
    run_toy(tmp_path, die_at=11)
    (checkpoint,) = (tmp_path / "work").rglob("checkpoint-*.safetensors")
    content = bytearray(checkpoint.read_bytes())
    content[-3] ^= 1
    checkpoint.write_bytes(content)
    with pytest.raises(CheckpointError, match="All checkpoints in .* are damaged"):
        train(tmp_path / "work", tmp_path / "model")


def test_another_identity_ignores_the_checkpoint(tmp_path):
    run_toy(tmp_path, die_at=11)
    engine = Engine(tmp_path / "work", {"toy": 2}, device="cpu")
    next(iter(engine.batches(data(), batch_size=16, epochs=5)))
    assert engine.global_step == 0


def test_each_pass_contains_each_patch_once_in_a_new_order(tmp_path):
    engine = Engine(tmp_path, {}, device="cpu", checkpoint_every=0)
    rows = []
    for batch in engine.batches(data(), batch_size=16, epochs=1, steps_per_epoch=25):
        assert len(batch.rows) == 16
        rows += batch.rows.tolist()
        engine.end_of_step()
    passes = [rows[start : start + 50] for start in range(0, 400, 50)]
    assert all(Counter(rows) == Counter(range(50)) for rows in passes)
    assert passes[0] != passes[1]


def test_an_epoch_ends_with_its_last_step_and_with_the_training(tmp_path):
    engine = Engine(tmp_path, {}, device="cpu", checkpoint_every=0)
    ended = []
    for _ in engine.batches(data(), batch_size=16, epochs=3, max_steps=10):
        ended.append((engine.epoch, engine.epoch_ended))
        engine.end_of_step()
    assert [epoch for epoch, _ in ended] == [1] * 4 + [2] * 4 + [3] * 2
    assert [i + 1 for i, (_, end) in enumerate(ended) if end] == [4, 8, 10]


def test_the_log_has_the_mean_of_each_interval(tmp_path):
    engine = Engine(tmp_path, {}, device="cpu", checkpoint_every=0, log_every=3)
    for _ in engine.batches(data(), batch_size=16, epochs=2):
        engine.end_of_step(x=torch.tensor(float(engine.global_step + 1)))
    assert [(line["step"], line["x"]) for line in read_log(tmp_path / "training.jsonl")] == [(3, 2), (6, 5), (8, 7.5)]


def test_precision_auto_is_bfloat16_where_the_processor_has_it():
    cpu = torch.device("cpu")
    assert resolve_precision("auto", cpu) == (torch.bfloat16 if has_bfloat16(cpu) else torch.float32)
    assert resolve_precision("float32", cpu) == torch.float32


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_an_error():
    with pytest.raises(SettingsError, match="is a GPU, and this machine has none"):
        resolve_device("cuda")


def test_an_unknown_device_is_an_error():
    with pytest.raises(SettingsError, match="there is no device"):
        resolve_device("tpu-please")


def test_a_step_computes_only_the_gradients_of_its_optimiser(tmp_path):
    engine = Engine(tmp_path, {}, device="cpu", precision="float32")
    generator, critic = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(generator.parameters(), 0.1)
    before = generator.weight.detach().clone()
    engine.step(optimizer, critic(generator(torch.ones(3, 2))).mean())
    assert not torch.equal(generator.weight, before)
    assert critic.weight.grad is None


def test_the_duration_is_announced_after_ten_steps(tmp_path):
    stopped = run_toy(tmp_path, die_at=6, die_with=signal.SIGTERM)
    assert " left (" not in stopped.stderr
    resumed = run_toy(tmp_path)
    assert resumed.stderr.count(" left (") == 1
    assert re.search(r"training: about .* left \(4 steps of ", resumed.stderr)  # 20 in all, 6 before and 10 measured


def test_the_announcement_counts_the_trainings_that_follow(tmp_path, capsys):
    engine = Engine(tmp_path, {}, device="cpu", checkpoint_every=0, trainings=3)
    for _ in engine.batches(data(), batch_size=16, epochs=5):
        engine.end_of_step()
    assert "with the trainings that follow (10 steps of " in capsys.readouterr().err


def test_a_training_of_ten_steps_announces_nothing(tmp_path, capsys):
    engine = Engine(tmp_path, {}, device="cpu", checkpoint_every=0)
    for _ in engine.batches(data(), batch_size=50, epochs=10):
        engine.end_of_step()
    assert " left (" not in capsys.readouterr().err  # ten steps are all


def test_the_loop_counts_as_computing_with_the_patches_of_its_batches(tmp_path):
    forget_work()
    train(tmp_path / "work", tmp_path / "model")
    work = work_so_far()
    assert work["compute"].patches == work["transfer"].patches == 5 * 4 * 16, "epochs x steps x batch size"
    assert work["transfer"].bytes == 5 * 4 * 16 * 8 * 8 * 3
    assert work["write"].bytes > 0, "checkpoints"


def test_a_trial_that_completes_ends_a_run_early_and_lets_it_write_its_model(tmp_path):
    with timing_trial(trainings=0) as trial:
        train(tmp_path / "work", tmp_path / "model")
    (measured,) = trial.measured
    assert (measured.steps, measured.steps_per_epoch) == (5 * 4, 4)
    assert len(read_log(tmp_path / "work" / "training.jsonl")) == 2, "4 steps: lines after 3 and at the end"
    assert (tmp_path / "model" / "model.json").exists()
    assert 0 < 2 * measured.seconds_per_step + measured.seconds_at_end < measured.trial_seconds
