"""An engine whose training ends in the middle of a step, for tests of resuming."""

from histoforge.training.engine import Engine


class InterruptedTrainingError(Exception):
    """Ends the training in place of a signal."""


class InterruptedEngine(Engine):
    """Raises `InterruptedTrainingError` in the step `end_at`, before its checkpoint; 0 for never."""

    end_at = 0

    def end_of_step(self, **values):
        if self.global_step + 1 == self.end_at:
            raise InterruptedTrainingError
        super().end_of_step(**values)
