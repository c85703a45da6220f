"""The only entry point for safetensors files: damaged files and full disks produce a one-sentence error."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from histoforge.core.errors import HistoforgeError

if TYPE_CHECKING:
    from torch import Tensor

_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")


@contextmanager
def explained_writing(path: Path) -> Iterator[None]:
    """Turn safetensors' error for a full disk or a failed write into the underlying OSError.

    Raises:
        OSError: the operating system cannot write the file.
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
    """Turn any error from a safetensors file, or from the state in it, into a sentence.

    Args:
        path: the file.
        kind: the class of the error to raise.
        advice: what the user can do, for the end of the message.

    Raises:
        HistoforgeError: the file is missing, damaged or not a safetensors file; the class is `kind`.
    """
    try:
        yield
    except (SafetensorError, OSError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120].rstrip(".")
        raise kind(f"{path} is missing or damaged ({reason}): {advice}.") from None


def first_mismatch(expected: "Mapping[str, Tensor]", weights: "Mapping[str, Tensor]") -> str:
    """Describe the first expected tensor that is missing from `weights` or has another shape there; '' if all fit."""
    for name, tensor in expected.items():
        given = weights.get(name)
        if given is None:
            return f"'{name}' is missing"
        if given.shape != tensor.shape:
            return f"'{name}' has the shape {list(given.shape)}, not {list(tensor.shape)}"
    return ""
