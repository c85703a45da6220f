"""The one family of errors that a user can cause and can mend.

Each message is one sentence that says what is wrong, where, and what to do. The command line prints it and exits
with `EXIT_CODE`; it is the last line of a task in a pod. Anything else that is raised is a bug and keeps its traceback.
"""

import errno
import shutil

EXIT_CODE = 2
_FULL = (errno.ENOSPC, errno.EDQUOT)


class HistoforgeError(Exception):
    """A fault in what the program was given, not in the program."""


class SettingsError(HistoforgeError):
    """An unknown preset or parameter, or a value out of its bounds."""


class UnknownParameterError(SettingsError):
    """A parameter that a step does not have."""


class SourceError(HistoforgeError):
    """Input data that cannot be used: no slides, one class, a labels file that contradicts itself."""


class SlideError(SourceError):
    """One slide that cannot be used; `preprocess` skips and names it, up to a limit."""


class PatchSetError(HistoforgeError):
    """A patch set that is damaged, incomplete, or not fit for what is asked of it."""


class ModelError(HistoforgeError):
    """A model that is damaged, of the wrong kind, or of another patch size or other classes."""


class CheckpointError(HistoforgeError):
    """A checkpoint that is damaged or belongs to another training."""


class StorageError(HistoforgeError):
    """A location that does not exist, refuses, is full, or stopped answering."""


class TrainingError(HistoforgeError):
    """Training that cannot go on, such as a loss that is not finite."""


class SelectionError(HistoforgeError):
    """A selection that keeps nothing, or a pool too small for what is to be kept."""


def explain_os_error(error: OSError) -> str:
    """Return the sentence for a file or disk that the operating system refuses; '' for an error of another kind.

    What a step does with files of its own is explained where it happens; this is for all that is left.
    """
    if isinstance(error, shutil.Error):
        source, target, reason = error.args[0][0] if isinstance(error.args[0], list) else (error.args[0], "", "")
        return f"{source} cannot be copied{f' to {target} ({reason})' if target else ''}: correct or remove it."
    where = error.filename2 or error.filename
    if error.errno in _FULL:
        return f"The disk is full{f' at {where}' if where else ''}: free some space and run it again."
    if not isinstance(where, str | bytes) or error.errno is None:
        return ""
    name = where.decode("utf-8", "backslashreplace") if isinstance(where, bytes) else where
    return f"{name} cannot be used ({error.strerror}): correct the path, or give the right to it."
