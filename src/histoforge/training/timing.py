"""Timing of a training run's first steps, to announce its duration, and for the trials of `--dry-run`."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from histoforge.core.progress import say
from histoforge.core.text import duration
from histoforge.training import processes
from histoforge.training.parameters import count_parameters

MEASURED_STEPS = 10


@dataclass
class MeasuredTraining:
    """A training run that a trial started.

    Attributes:
        label: label of the run.
        steps: steps of the whole run.
        parameters: number of weights of each network, by name.
        seconds_per_step: mean over the steps of the trial, without the first if there were more.
        steps_per_epoch: steps of an epoch of the whole run.
        seconds_at_end: what the last step of a trial that completes took longer than the others: the scoring at the
            end of an epoch.
        trial_seconds: duration of the trial.
    """

    label: str
    steps: int
    parameters: dict[str, int]
    seconds_per_step: float = 0.0
    steps_per_epoch: int = 1
    seconds_at_end: float = 0.0
    trial_seconds: float = 0.0


@dataclass
class TimingTrial:
    """Training runs that end after a few steps each, to measure their size and speed.

    Attributes:
        trainings: number of runs to measure before the trial ends; 0 if it completes: each run then ends with its
            `max_steps`-th step as if that were its last, with the scoring of an epoch, and the step writes its result.
        max_steps: maximum steps per run.
        max_seconds: maximum time per run of a trial that does not complete.
        measured: the runs measured so far.
    """

    trainings: int = 1
    max_steps: int = 4
    max_seconds: float = 20.0
    measured: list[MeasuredTraining] = field(default_factory=list)


class TimingTrialEnded(Exception):
    """Raised when a trial has finished its measurements; it is not an error."""


_CURRENT_TRIAL: ContextVar[TimingTrial | None] = ContextVar("timing_trial", default=None)


@contextmanager
def timing_trial(trainings: int = 1) -> Iterator[TimingTrial]:
    """Make training runs that start in the block end after a few steps; the block ends with the last of them.

    Args:
        trainings: see `TimingTrial`.
    """
    trial = TimingTrial(trainings)
    token = _CURRENT_TRIAL.set(trial)
    try:
        yield trial
    except TimingTrialEnded:
        pass
    finally:
        _CURRENT_TRIAL.reset(token)


class Timing:
    """Measure the first steps of a training run and announce how long the rest will take.

    The mean excludes the first step, which also loads kernels and allocates memory. The GPU is synchronised only after
    the first and the last measured step, so that timing costs nothing.

    Args:
        label: label of the run.
        device: device of the run.
        trainings: number of runs left in the same task, including this one.
    """

    def __init__(self, label: str, device: torch.device, trainings: int) -> None:
        self._label, self._device, self._trainings = label, device, trainings
        self._trial = _CURRENT_TRIAL.get()
        self._steps = self._total = 0
        self._began = self._first_ended = self._last_but_one_ended = time.monotonic()
        self.is_over = False
        """True if a trial has measured enough of this run."""

    def begin(self, total_steps: int, steps_per_epoch: int, tracked: Mapping[str, Any]) -> int:
        """Start the clock, and return the number of steps to run.

        Args:
            total_steps: steps of the whole run.
            steps_per_epoch: steps of an epoch.
            tracked: the networks and everything else that the run tracks.
        """
        self._total, self._began = total_steps, time.monotonic()
        if self._trial is not None:
            parameters = {
                name: count_parameters(value) for name, value in tracked.items() if isinstance(value, nn.Module)
            }
            training = MeasuredTraining(self._label, total_steps, parameters, steps_per_epoch=steps_per_epoch)
            self._trial.measured.append(training)
            if not self._trial.trainings:
                return min(total_steps, self._trial.max_steps)
        return total_steps

    def count_step(self, steps_left: int) -> None:
        """Count a finished step, after which `steps_left` remain.

        Raises:
            TimingTrialEnded: this was the last step of a trial.
        """
        self._steps += 1
        if self._trial is not None:
            self._count_in_trial(self._trial)
        elif self._steps == 1:
            self._first_ended = self._now()
        elif self._steps == MEASURED_STEPS and steps_left and processes.rank() == 0:
            say(self._announcement((self._now() - self._first_ended) / (MEASURED_STEPS - 1), steps_left))

    def _count_in_trial(self, trial: TimingTrial) -> None:
        now = self._now()
        if self._steps == 1:
            self._first_ended = now
        if not trial.trainings:
            self._count_in_completing_trial(trial.measured[-1], now, min(trial.max_steps, self._total))
            return
        if self._steps < min(trial.max_steps, self._total) and now - self._began < trial.max_seconds:
            return
        elapsed, after_first_step = now - self._began, now - self._first_ended
        trial.measured[-1].seconds_per_step = after_first_step / (self._steps - 1) if self._steps > 1 else elapsed
        self.is_over = True
        if len(trial.measured) >= trial.trainings:
            raise TimingTrialEnded

    def _count_in_completing_trial(self, measured: MeasuredTraining, now: float, last: int) -> None:
        """Measure the steps between the first and the last, and how much longer the last one takes."""
        if self._steps < last:
            self._last_but_one_ended = now
            return
        between = max(0, last - 2)
        measured.trial_seconds = now - self._began
        measured.seconds_per_step = (
            (self._last_but_one_ended - self._first_ended) / between if between else measured.trial_seconds / last
        )
        measured.seconds_at_end = max(0.0, now - self._last_but_one_ended - measured.seconds_per_step)

    def _announcement(self, seconds_per_step: float, steps_left: int) -> str:
        following = (self._trainings - 1) * self._total
        whole = f", {duration(seconds_per_step * (steps_left + following))} with the trainings that follow"
        return (
            f"{self._label}: about {duration(seconds_per_step * steps_left)} left{whole if following else ''} "
            f"({steps_left} steps of {seconds_per_step:.2g} s, the mean of the first {MEASURED_STEPS}, "
            "without the scoring between epochs)"
        )

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.monotonic()
