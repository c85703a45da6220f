"""Models on disk: weights and a description, without optimiser state or pickle.

Torch is imported only to read or write tensors, so that tasks that merely join models run without it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from histoforge import __version__
from histoforge.core.digests import digest_file, digest_json
from histoforge.core.documents import read_model
from histoforge.core.errors import ModelError
from histoforge.core.files import atomic_directory, write_json
from histoforge.core.seals import read_sealed, sealed
from histoforge.core.settings import Settings
from histoforge.core.timings import spent
from histoforge.training.tensors import explained_reading, explained_writing

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["autoencoder", "classifier", "generator", "guide", "upscaler"]
SCHEMA_VERSION = 1
INFO_NAME = "model.json"
WEIGHTS_NAME = "model.safetensors"


class ModelInfo(Settings):
    """Content of `model.json`.

    Attributes:
        kind: purpose of the model.
        method: the backbone or the published generative method.
        config: the settings with which the model was built and trained.
        classes: class names; a label is an index into this list.
        patch_size: height and width, px.
        mpp: micrometres per pixel of the training patches, or None.
        training: facts about the training: steps, seconds, scores, device, precision.
        digests: identities of the training data, by name.
        code_version: the version of histoforge that wrote the model.
        weights: SHA-256 of `model.safetensors`.
        digest: SHA-256 over all of the above except `training`; the model's identity.
        schema_version: schema version of the file.
        seal: SHA-256 over all of the above including `training`; '' in files of earlier versions.
    """

    kind: Kind
    method: str
    config: dict[str, Any]
    classes: list[str]
    patch_size: tuple[int, int]
    mpp: float | None = None
    training: dict[str, Any] = Field(default_factory=dict)
    digests: dict[str, str] = Field(default_factory=dict)
    code_version: str = __version__
    weights: str = ""
    digest: str = ""
    schema_version: int = SCHEMA_VERSION
    seal: str = ""

    @property
    def origin(self) -> dict[str, str]:
        """Name, origin and licence of an imported model; empty for one that was trained here."""
        return {**(self.config.get("origin") or {}), **(self.training.get("origin") or {})}

    def compute_digest(self) -> str:
        """Compute the digest of this description; it does not depend on how long the training took."""
        return digest_json(self.model_dump(mode="json", exclude={"digest", "training", "schema_version", "seal"}))

    def sealed(self) -> "ModelInfo":
        """Return a copy with its digests."""
        info = self.model_copy(update={"digest": self.compute_digest(), "schema_version": SCHEMA_VERSION})
        return info.model_copy(update={"seal": sealed(info.model_dump(mode="json"), SCHEMA_VERSION, "seal")["seal"]})


def save_model(
    path: Path, info: ModelInfo, state: "dict[str, Tensor]", add_files: Callable[[Path], None] | None = None
) -> ModelInfo:
    """Write a model directory atomically, replacing an existing one once the new one is complete.

    Args:
        path: the directory.
        info: the description; `weights` and `digest` are filled in.
        state: the network's `state_dict`.
        add_files: called with the directory before it gets its final name, to add histories and pictures.
    """
    from safetensors.torch import save_file

    tensors = {name: t.detach().cpu().contiguous() for name, t in state.items()}
    return _write(path, info, lambda file: save_file(tensors, file), add_files)


def save_arrays(
    path: Path,
    info: ModelInfo,
    arrays: dict[str, NDArray[np.generic]],
    add_files: Callable[[Path], None] | None = None,
) -> ModelInfo:
    """Write a model directory from arrays, without torch; see `save_model`."""
    from safetensors.numpy import save_file

    return _write(path, info, lambda file: save_file(arrays, file), add_files)


def _write(
    path: Path, info: ModelInfo, write_weights: Callable[[Path], None], add_files: Callable[[Path], None] | None
) -> ModelInfo:
    with atomic_directory(path) as directory:
        with explained_writing(directory / WEIGHTS_NAME), spent("write"):
            write_weights(directory / WEIGHTS_NAME)
        info = info.model_copy(update={"weights": digest_file(directory / WEIGHTS_NAME)})
        info = info.sealed()
        write_json(directory / INFO_NAME, info.model_dump(mode="json"))
        if add_files is not None:
            add_files(directory)
    return info


def read_model_info(path: Path, kind: Kind | None = None) -> ModelInfo:
    """Return the content of `model.json`.

    Raises:
        ModelError: the model is missing, damaged, or of another kind.
    """
    file = Path(path) / INFO_NAME
    if not file.is_file():
        raise ModelError(f"{path} is not a model (it has no {INFO_NAME}): pass the output of a training step.")
    read_sealed(file, SCHEMA_VERSION, "train the model again", digest="seal")
    info = read_model(ModelInfo, file, ModelError, "train the model again")
    if info.digest != info.compute_digest():
        raise ModelError(f"{file} was changed after it was written (its digest does not match): train the model again.")
    if kind is not None and info.kind != kind:
        raise ModelError(f"{path} is {_a(info.kind)}, but {_a(kind)} is needed here: pass another model.")
    return info


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def load_model(path: Path, kind: Kind) -> "tuple[ModelInfo, dict[str, Tensor]]":
    """Return the description and the weights (on the CPU) of a model.

    Raises:
        ModelError: the model is missing, damaged, or of another kind.
    """
    from safetensors.torch import load_file

    return _read(path, kind, load_file)


def load_arrays(path: Path, kind: Kind) -> tuple[ModelInfo, dict[str, NDArray[np.generic]]]:
    """Return the description and the weights of a model as arrays, without torch; see `load_model`.

    Raises:
        ModelError: the model is missing, damaged, or of another kind.
    """
    from safetensors.numpy import load_file

    return _read(path, kind, load_file)


def _read(path: Path, kind: Kind, read_weights: Callable[[Path], dict[str, Any]]) -> tuple[ModelInfo, dict[str, Any]]:
    info = read_model_info(path, kind)
    weights = Path(path) / WEIGHTS_NAME
    if not weights.is_file() or digest_file(weights) != info.weights:
        raise ModelError(f"{weights} is missing or damaged (its SHA-256 is not the recorded one): copy it again.")
    with explained_reading(weights, ModelError, "train the model again"), spent("read"):
        return info, read_weights(weights)
