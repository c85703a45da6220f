"""Name parameters in error sentences as the user typed them: `--split-ratios`, not `split_ratios`."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from histoforge.core.errors import HistoforgeError, UnknownParameterError


@contextmanager
def named_as_typed(command: str, parameters: Collection[str], flags: Collection[str], typed: str) -> Iterator[None]:
    """Raise the block's error again, with parameters named as on the command line.

    Args:
        command: the step's name.
        parameters: the names of its parameters.
        flags: the parameters that were given as options.
        typed: the values of `--set`, whose names stay as they are.
    """
    try:
        yield
    except UnknownParameterError:
        raise
    except HistoforgeError as error:
        known = [name for name in parameters if not re.search(rf"\b{name}=", typed)]
        raise type(error)(as_typed(str(error), command, known, flags)) from error


def as_typed(sentence: str, command: str, parameters: Collection[str], flags: Collection[str]) -> str:
    """Return a sentence with parameters named as options; see `named_as_typed`."""
    for name in sorted(parameters, key=len, reverse=True):
        flag = f"--{name.replace('_', '-')}"
        before = "" if name in flags else "(?<=give )"
        sentence = re.sub(rf"{before}'{name}'", flag, sentence)
        sentence = re.sub(rf"(?<![\w.'/-]){name}=(?=\S)", f"{flag} ", sentence)
        if "_" in name:
            sentence = re.sub(rf"(?<![\w.'/-]){name}(?![\w.'/=-])", flag, sentence)
    return re.sub(rf"^{command}: ", f"{command.replace('_', '-')}: ", sentence)
