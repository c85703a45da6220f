"""Everything that trainers need but papers do not describe, so that a method's loop reads like its algorithm."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from histoforge.core.digests import digest_json
from histoforge.core.errors import CheckpointError, TrainingError
from histoforge.core.progress import Progress, say
from histoforge.core.seeds import derive_seed
from histoforge.core.timings import spent
from histoforge.storage import open_location
from histoforge.training import processes
from histoforge.training.checkpoint import Checkpoints
from histoforge.training.device import autocast, resolve_device, resolve_precision
from histoforge.training.log import TrainingLog
from histoforge.training.passes import BatchT_co, TrainingData, shuffled_rows
from histoforge.training.state import random_state, set_random_state
from histoforge.training.stopping import StopRequest
from histoforge.training.timing import Timing

RESUME_HINT = "run the same command again to resume from there."


class Stateful(Protocol):
    """An object that a checkpoint can store, such as a network, optimiser, scheduler, EMA or history."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state: Any) -> Any: ...


class Engine:
    """Device, precision, batches, updates, log, checkpoints and resume of one training run.

    >>> engine = Engine(work, identity={"method": "dcgan", "data": patches.digest}, seed=0)
    >>> engine.track(generator=generator, critic=critic, critic_optimizer=critic_optimizer)
    >>> for batch in engine.batches(data, batch_size=64, epochs=10):
    ...     with engine.autocast():
    ...         loss = critic_loss(critic(batch.images))
    ...     engine.step(critic_optimizer, loss)
    ...     engine.end_of_step(critic=loss)
    >>> engine.finish()

    A run that was killed and restarted with the same `work` and `identity` resumes from its last checkpoint and ends
    with the same weights, bit for bit on a CPU.

    Args:
        work: directory of this run's log and checkpoint.
        identity: JSON value that defines the run (config, data digests); a checkpoint with another identity is never
            resumed.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        precision: 'auto', 'float32' or 'bfloat16'.
        seed: seed of all random numbers in the run.
        checkpoints: a location to mirror checkpoints to, so that a retry on another node finds them; '' for none.
        checkpoint_every: steps between checkpoints; 0 writes one only at the end and on SIGTERM and Ctrl-C.
        log_every: number of steps that one line of the log averages.
        label: label of the progress bar.
        trainings: number of training runs left in this task, including this one, for the announced duration.
        stream: name of the random stream; two runs with the same stream and seed draw the same numbers. '' for
            `label`.
    """

    def __init__(
        self,
        work: Path,
        identity: dict[str, Any],
        *,
        device: str = "auto",
        precision: str = "auto",
        seed: int = 0,
        checkpoints: str = "",
        checkpoint_every: int = 200,
        log_every: int = 20,
        label: str = "training",
        trainings: int = 1,
        stream: str = "",
    ) -> None:
        self.device = resolve_device(device)
        self.dtype = resolve_precision(precision, self.device)
        processes.join(self.device)
        self.seed, self.label, self.work = seed, label, Path(work)
        self._stream = stream or label
        self._timing = Timing(label, self.device, trainings)
        self.checkpoint_every, self.log_every = checkpoint_every, log_every
        name = f"{label}-{digest_json(identity)[:12]}".replace(" ", "-")
        mirrors = open_location(checkpoints) if checkpoints else None
        self._checkpoints = Checkpoints(self.work / name, mirrors and mirrors.child(name), mirrors)
        self._tracked: dict[str, Stateful] = {}
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._finite = torch.ones((), dtype=torch.bool, device=self.device)
        self._stop = StopRequest()
        self.global_step = self.total_steps = 0
        self.steps_per_epoch = 1
        torch.manual_seed(derive_seed(seed, self._stream, "torch"))
        self.rng = torch.Generator(self.device).manual_seed(derive_seed(seed, self._stream, "engine"))

    @property
    def epoch(self) -> int:
        """The epoch of the current step, counted from 1."""
        return self.global_step // self.steps_per_epoch + 1

    @property
    def epoch_ended(self) -> bool:
        """True if the current step is the last of its epoch or of the run."""
        step = self.global_step + 1
        return step % self.steps_per_epoch == 0 or step == self.total_steps

    def track(self, **objects: Stateful) -> None:
        """Add objects to the checkpoint by name; all of them must be tracked before the first batch."""
        self._tracked.update(objects)
        for tracked in objects.values():
            if isinstance(tracked, nn.Module):
                processes.share_batch_norms(tracked)

    def batches(
        self,
        patches: TrainingData[BatchT_co],
        batch_size: int,
        epochs: int,
        steps_per_epoch: int = 0,
        max_steps: int = 0,
    ) -> Iterator[BatchT_co]:
        """Yield shuffled batches from the current step to the end of the run.

        Rows come from an endless series of passes, so that every batch is full and every patch occurs once per pass.
        The order of a pass depends only on the data, the seed and the number of the pass.

        Args:
            patches: the training data.
            batch_size: patches per step, over all processes.
            epochs: number of epochs.
            steps_per_epoch: steps per epoch; 0 for one pass over `patches`.
            max_steps: maximum number of steps of the whole run; 0 for no limit.
        """
        self.steps_per_epoch = steps_per_epoch or math.ceil(len(patches) / batch_size)
        self.total_steps = min(epochs * self.steps_per_epoch, max_steps or epochs * self.steps_per_epoch)
        self._resume()
        if processes.world_size() > 1:  # each process drops different units
            torch.manual_seed(derive_seed(self.seed, self._stream, "torch", processes.rank(), self.global_step))
        self._log = TrainingLog(self.work, self.global_step) if processes.rank() == 0 else None
        self.total_steps = self._timing.begin(self.total_steps, self.steps_per_epoch, self._tracked)
        try:
            progress = Progress(self.label, self.total_steps, "steps", done=self.global_step)
            with StopRequest() as self._stop, progress as self._progress:
                rows = shuffled_rows(patches, batch_size, self.global_step, self._rng_of_pass)
                while self.global_step < self.total_steps and not self._timing.is_over:
                    shared = processes.share(next(rows))
                    batch = patches.batch(shared)
                    with spent("compute", patches=len(shared)):
                        yield batch
        finally:
            if self._log is not None:
                self._log.close()

    def autocast(self) -> torch.autocast:
        """Return the context in which networks run at the precision of the run."""
        return autocast(self.device, self.dtype)

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal float32 noise [batch, …] for the whole batch and return this process's share."""
        return processes.share(torch.randn(shape, generator=self.rng, device=self.device))

    def random_stream(self, purpose: str) -> torch.Generator:
        """Return a separate random generator on the device for numbers that not every run draws.

        The run's main generator (`rng`) then draws the same numbers with and without it. The caller saves the state of
        the new generator in a checkpoint.
        """
        return torch.Generator(self.device).manual_seed(derive_seed(self.seed, self._stream, "engine", purpose))

    def step(
        self, optimizer: Optimizer, loss: Tensor, clip_value: float | None = None, clip_norm: float | None = None
    ) -> None:
        """Update the optimiser's parameters with the gradient of `loss`.

        Gradients of other parameters, such as the critic's when the generator is updated, are not computed.

        Raises:
            TrainingError: the loss is not finite (on a GPU, this is detected at the next line of the log).
        """
        self._finite &= torch.isfinite(loss.detach())
        if self.device.type == "cpu":
            self._stop_unless_finite()
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        optimizer.zero_grad(set_to_none=True)
        loss.backward(inputs=parameters)
        processes.average_gradients(parameters)
        if clip_value is not None:
            torch.nn.utils.clip_grad_value_(parameters, clip_value)
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
        optimizer.step()

    def end_of_step(self, **values: Tensor) -> None:
        """Count the step, log `values` (scalars), write a checkpoint if one is due, and stop on a signal.

        A line of the log has the mean of each value over the steps that have it.

        Raises:
            TrainingError: a loss was not finite; the last checkpoint precedes it.
            SystemExit: SIGTERM or Ctrl-C was received; the checkpoint contains this step.
        """
        epoch = self.epoch
        self.global_step += 1
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach().double()
            self._counts[name] = self._counts.get(name, 0) + 1
        if self.global_step % self.log_every == 0 or self.global_step == self.total_steps:
            self._write_log(epoch)
        elif self._log is not None:
            self._progress.advance()
        self._timing.count_step(self.total_steps - self.global_step)
        stop = processes.any_process(bool(self._stop.signum), self.device)
        done = self.global_step == self.total_steps
        due = bool(self.checkpoint_every) and self.global_step % self.checkpoint_every == 0
        if done or due or stop:
            self._save()
        if stop:
            _say(f"{self.label}: stopped by {self._stop.name} after step {self.global_step}; {RESUME_HINT}")
            raise SystemExit(self._stop.exit_code)

    def finish(self) -> None:
        """Delete the checkpoint once the model has been written."""
        if processes.rank() == 0:
            self._checkpoints.delete()

    def _rng_of_pass(self, number: int) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(self.seed, self._stream, "pass", number))

    def _write_log(self, epoch: int) -> None:
        self._stop_unless_finite()
        totals = processes.mean(torch.stack(list(self._sums.values()))) if self._sums else ()
        means = {name: float(total) / self._counts[name] for name, total in zip(self._sums, totals, strict=True)}
        self._sums, self._counts = {}, {}
        if self._log is not None:
            self._log.write(self.global_step, epoch, means)
            self._progress.advance(1, epoch=epoch, **means)

    def _stop_unless_finite(self) -> None:
        if processes.any_process(not self._finite, self.device):
            raise TrainingError(
                f"{self.label}: a loss was not finite at step {self.global_step + 1} (epoch {self.epoch}): lower the "
                "learning rate or use precision=float32; the last good checkpoint is kept in "
                f"{self._checkpoints.directory}."
            )

    def _save(self) -> None:
        self._stop_unless_finite()
        if processes.rank() == 0:
            self._checkpoints.save(
                self.global_step,
                {
                    "step": self.global_step,
                    "sums": self._sums,
                    "counts": self._counts,
                    "random": random_state(),
                    "rng": self.rng.get_state(),
                    "tracked": {name: tracked.state_dict() for name, tracked in self._tracked.items()},
                },
            )

    def _resume(self) -> None:
        """Resume from the checkpoint, if there is one.

        Raises:
            CheckpointError: the checkpoint does not contain the tracked objects.
        """
        state = processes.from_main(self._checkpoints.load() if processes.rank() == 0 else None)
        if state is None:
            return
        try:
            self.global_step = state["step"]
            self._sums = {name: total.to(self.device) for name, total in state["sums"].items()}
            self._counts = dict(state["counts"])
            set_random_state(state["random"])
            self.rng.set_state(state["rng"])
            for name, tracked in self._tracked.items():
                tracked.load_state_dict(state["tracked"][name])
        except (KeyError, TypeError, ValueError, RuntimeError):
            raise CheckpointError(
                f"The checkpoint in {self._checkpoints.directory} was written by another version of histoforge or for "
                "another network: delete it to start again, or continue with the version that wrote it."
            ) from None
        _say(f"{self.label}: resumes after step {self.global_step} of {self.total_steps}.")


def _say(text: str) -> None:
    if processes.rank() == 0:
        say(text)
