"""One sentence for whatever exception the code behind an imported generator raises."""

from collections.abc import Iterator
from contextlib import contextmanager

from histoforge.core.errors import HistoforgeError, ModelError


@contextmanager
def explained_code(problem: str, advice: str) -> Iterator[None]:
    """Turn exceptions of diffusers, or of another package, into an error of the generator.

    Settings that do not fit make such code raise exceptions of any class, from AttributeError to ZeroDivisionError.

    Args:
        problem: what does not work, as the beginning of the sentence.
        advice: what the user can do.

    Raises:
        ModelError: the code raised an exception.
    """
    try:
        yield
    except HistoforgeError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ModelError(f"{problem} ({reason}): {advice}.") from error
