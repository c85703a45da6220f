"""Errors that a user can cause and fix.

Each message is one sentence that says what is wrong, where, and what to do. The command line prints it and exits
with `EXIT_CODE`. In a pod, it is the last line of the task's log. Any other exception is a bug and keeps its traceback.
"""

import errno
import shutil

EXIT_CODE = 2
_FULL = (errno.ENOSPC, errno.EDQUOT)


class HistoforgeError(Exception):
    """An error in the program's input, not in the program."""


class SettingsError(HistoforgeError):
    """An unknown preset or parameter, or a value out of bounds."""


class UnknownParameterError(SettingsError):
    """A parameter that a step does not have."""


class SourceError(HistoforgeError):
    """Input data that cannot be used: no slides, one class, a labels file that contradicts itself."""


class SlideError(SourceError):
    """A single slide that cannot be used; `preprocess` skips and names such slides, up to a limit."""


class PatchSetError(HistoforgeError):
    """A patch set that is damaged, incomplete, or unsuitable for its use."""


class ModelError(HistoforgeError):
    """A model that is damaged, of the wrong kind, or of another patch size or other classes."""


class CheckpointError(HistoforgeError):
    """A checkpoint that is damaged or belongs to another training run."""


class StorageError(HistoforgeError):
    """A location that does not exist, refuses, is full, or stopped answering."""


class TrainingError(HistoforgeError):
    """Training that cannot continue, for example because a loss is not finite."""


class SelectionError(HistoforgeError):
    """A selection that keeps nothing, or a pool that is too small for it."""


def explain_os_error(error: OSError) -> str:
    """Return a sentence for an error from a file or disk, or '' for any other kind of error.

    Steps explain the errors from their own files where they occur. This function covers the remaining ones.
    """
    if isinstance(error, shutil.Error):
        source, target, reason = error.args[0][0] if isinstance(error.args[0], list) else (error.args[0], "", "")
        return f"{source} cannot be copied{f' to {target} ({reason})' if target else ''}: correct or remove it."
    path = error.filename2 or error.filename
    if error.errno in _FULL:
        return f"The disk is full{f' at {path}' if path else ''}: free some space and run it again."
    if not isinstance(path, str | bytes) or error.errno is None:
        return ""
    name = path.decode("utf-8", "backslashreplace") if isinstance(path, bytes) else path
    return f"{name} cannot be used ({error.strerror}): correct the path, or grant access to it."
