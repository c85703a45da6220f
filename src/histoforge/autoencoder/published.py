"""Published weights of an autoencoder, in the layout of diffusers."""

import re
from collections.abc import Mapping

from torch import Tensor

from histoforge.autoencoder.architecture import Architecture
from histoforge.autoencoder.network import Autoencoder
from histoforge.core.documents import DocumentError, parse_json
from histoforge.core.errors import ModelError, SettingsError
from histoforge.training.tensors import first_mismatch

CONFIG_NAME = "config.json"
_FORMER_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_FORMER_NAME = re.compile(rf"(?<=mid_block\.attentions\.0\.)({'|'.join(_FORMER_NAMES)})(?=\.)")


def build_published(weights: Mapping[str, Tensor], config: bytes | None, source: str) -> Autoencoder:
    """Return the autoencoder of published weights.

    Args:
        weights: tensors by name; names of attention layers from before diffusers 0.18 are known, too.
        config: content of the `config.json` beside the weights, None if there is none.
        source: name of the weights in messages.

    Raises:
        ModelError: there is no `config.json`, it is not that of an AutoencoderKL, or the weights are of another
            architecture.
    """
    if config is None:
        raise ModelError(f"There is no {CONFIG_NAME} beside {source}: put that of diffusers' AutoencoderKL there.")
    try:
        network = Autoencoder(Architecture.of_diffusers(parse_json(config)))
    except (AttributeError, DocumentError, SettingsError, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ModelError(
            f"The {CONFIG_NAME} beside {source} is not that of diffusers' AutoencoderKL ({reason}): give the folder "
            "'vae' of a published model."
        ) from None
    renamed = {_FORMER_NAME.sub(lambda match: _FORMER_NAMES[match[1]], name): t for name, t in weights.items()}
    expected = network.vae.state_dict()
    if problem := first_mismatch(expected, renamed):
        raise ModelError(
            f"The weights {source} do not fit the {CONFIG_NAME} beside them ({problem}): give both of the same model."
        )
    network.vae.load_state_dict({name: renamed[name] for name in expected})
    return network
