"""The one door for safetensors files: what is damaged, and a disk that is full, end in a sentence."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from histoforge.core.errors import HistoforgeError

_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")


@contextmanager
def explained_writing(path: Path) -> Iterator[None]:
    """Make what safetensors raises for a full disk or a refused write the OSError that it is.

    Raises:
        OSError: the operating system refuses.
    """
    try:
        yield
    except SafetensorError as error:
        code = _SYSTEM_ERROR.search(str(error))
        if code is None:
            raise
        raise OSError(int(code.group(1)), os.strerror(int(code.group(1))), str(path)) from None


@contextmanager
def explained_reading(path: Path, kind: type[HistoforgeError], advice: str) -> Iterator[None]:
    """Turn whatever is wrong with a safetensors file, or with the state in it, into a sentence.

    Args:
        path: the file.
        kind: the error to raise.
        advice: what the user can do, for the end of the sentence.

    Raises:
        HistoforgeError: of the class `kind`: the file is missing, damaged or no such file.
    """
    try:
        yield
    except (SafetensorError, OSError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120].rstrip(".")
        raise kind(f"{path} is missing or damaged ({reason}): {advice}.") from None
