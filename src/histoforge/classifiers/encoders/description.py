"""The file beside an encoder's weights that says how the encoder is built and fed. Imports no torch."""

import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from histoforge.core.digests import digest_json
from histoforge.core.documents import read_yaml
from histoforge.core.errors import ModelError
from histoforge.core.settings import Settings
from histoforge.core.validation import reason_of
from histoforge.storage import open_location

ADVICE = "write it as docs/encoders.md describes"

Pooling = Literal["default", "class_token", "mean", "class_token_and_mean"]
Channels = tuple[float, float, float]
Deviations = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]


class EncoderArchitecture(Settings):
    """What identifies an encoder: its network, its weights and its input.

    Attributes:
        name: name in results, such as 'UNI'.
        architecture: a backbone, such as 'vit_b_16' or 'timm:vit_large_patch16_224'.
        arguments: arguments of timm's `create_model`; a type of layer is given by its name, such as 'SwiGLUPacked'.
        sha256: SHA-256 of the weights file.
        input_size: height and width that images are resized to, px.
        mean, std: statistics of the RGB values, in [0, 1], that the weights expect.
        pooling: 'default' is the pooling of the architecture; the others pool the normalised tokens of a transformer
            of timm: the class token, the mean of the image tokens, or both, one after the other.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,39}$")
    architecture: str = Field(min_length=1, max_length=100)
    arguments: dict[str, bool | int | float | str] = Field(default_factory=dict)
    sha256: str = Field(pattern=r"^[0-9a-fA-F]{64}$")
    input_size: int = Field(ge=8, le=4096)
    mean: Channels
    std: Deviations
    pooling: Pooling

    @property
    def digest(self) -> str:
        """SHA-256 over the description; it does not depend on where the weights lie."""
        return digest_json(self.model_dump(mode="json", include=set(EncoderArchitecture.model_fields)))


class EncoderDescription(EncoderArchitecture):
    """The content of an encoder's file.

    Attributes:
        weights: file of the weights (.safetensors, or .bin, .pt, .pth with a plain `state_dict`): a path relative to
            the encoder's file, an absolute path, or an s3:// or minio:// address.
    """

    weights: str = Field(min_length=1)


def read_description(source: str) -> EncoderDescription:
    """Return the description in an encoder's file, with the path or address of the weights made absolute.

    Args:
        source: path, or s3:// or minio:// address, of the file, in YAML or JSON.

    Raises:
        ModelError: the file is missing, is not YAML, or lacks a field.
    """
    if "://" not in source:
        path = Path(source).expanduser()
        description = _parse(read_yaml(path, ModelError, ADVICE), source)
        weights = description.weights
        return description if "://" in weights else _with_weights(description, str(path.parent.absolute() / weights))
    parent, _, name = source.rpartition("/")
    with tempfile.TemporaryDirectory() as folder, open_location(f"{parent}/").fetched(name, Path(folder)) as file:
        description = _parse(read_yaml(file, ModelError, ADVICE), source)
    weights = description.weights
    return description if "://" in weights else _with_weights(description, f"{parent}/{weights}")


def _parse(content: Any, source: str) -> EncoderDescription:
    try:
        return EncoderDescription.model_validate(content)
    except ValidationError as error:
        raise ModelError(f"The encoder file {source} cannot be used ({reason_of(error)}): {ADVICE}.") from None


def _with_weights(description: EncoderDescription, weights: str) -> EncoderDescription:
    return description.model_copy(update={"weights": weights})
