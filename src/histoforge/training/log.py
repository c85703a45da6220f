"""Reports of a training run: JSON lines for programs, TensorBoard for people."""

import json
import os
from pathlib import Path
from typing import Any

from histoforge.core.errors import StorageError
from histoforge.core.files import atomic_file

LOG_NAME = "training.jsonl"


class TrainingLog:
    """Append `{"step": …, "epoch": …, name: value}` lines to `training.jsonl`, and the values to TensorBoard's log.

    Args:
        directory: directory of both logs.
        from_step: lines of later steps, which a killed run wrote after its last checkpoint, are dropped.
    """

    def __init__(self, directory: Path, from_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / LOG_NAME
        _keep_lines_up_to(self.path, from_step)
        self._file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115 - closed by close()
        self._board: Any = SummaryWriter(str(_board_directory(directory)), purge_step=from_step + 1)

    def write(self, step: int, epoch: int, values: dict[str, float]) -> None:
        """Log the values of a step."""
        self._file.write(json.dumps({"step": step, "epoch": epoch, **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close both logs."""
        self._file.close()
        self._board.close()


def read_log(path: Path) -> list[dict[str, float]]:
    """Return the lines of `training.jsonl`, without a last line that was cut off."""
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            lines.append(dict(json.loads(line)))
        except (ValueError, TypeError, RecursionError):
            break
    return lines


def _board_directory(directory: Path) -> Path:
    """Return TensorBoard's directory: beside the log, or the same path below `HISTOFORGE_LOGS` if that is set.

    With `HISTOFORGE_LOGS`, one TensorBoard shows all runs.
    """
    shared = os.environ.get("HISTOFORGE_LOGS")
    if not shared:
        return directory / "tensorboard"
    board = Path(shared, *directory.resolve().parts[1:])
    try:
        board.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StorageError(
            f"HISTOFORGE_LOGS names {shared}, where {board} cannot be written ({reason}): name a folder that can be "
            "written, or leave it unset."
        ) from None
    return board


def _keep_lines_up_to(path: Path, step: int) -> None:
    if path.is_file():
        lines = [line for line in read_log(path) if line.get("step", step + 1) <= step]
        with atomic_file(path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
