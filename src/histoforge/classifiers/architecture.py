"""The network architecture of an arm's classifiers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from histoforge.classifiers.backbones.registry import StemChoice


@dataclass(frozen=True)
class Architecture:
    """The network architecture of an arm's classifiers.

    Attributes:
        backbone: its name in `BACKBONES`.
        stem: 'auto', 'imagenet' or 'small' (see `BackboneEntry.resolve_stem`).
        width: factor on all numbers of channels.
        dropout: rate p of the dropout before the tail of the backbone.
        weights: file of initial weights; '' starts from random ones.
        weights_sha256: SHA-256 of that file; '' leaves it unchecked.
        trainable_layers: number of weighted layers that train, counted from the end; 0 trains all (see
            `freeze_all_but`).
        head_width: units of a hidden layer before the classification layer; 0 for none.
        judge_backbone: backbone of one additional classifier, trained from random weights; '' for none. It selects
            nothing, and scores synthetic patches by features that differ from those of the other classifiers.
        input_size: height and width that patches are resized to on the device, px; 0 for their own.
        tile_size, tile_overlap: side and overlap of the tiles of 'admil', px.
        tile_backbone: network that embeds a tile of 'admil'.
        tile_tissue: share of tissue below which a tile leaves the bag of 'admil'; 0 keeps every tile.
        attention_branches: number of attention branches of 'admil'.
        encoder: fields of the `EncoderArchitecture` of 'encoder', whose file names the weights.
    """

    backbone: str
    stem: StemChoice
    width: float
    dropout: float
    weights: str
    weights_sha256: str
    trainable_layers: int = 0
    head_width: int = 0
    judge_backbone: str = ""
    input_size: int = 0
    tile_size: int = 64
    tile_overlap: int = 0
    tile_backbone: str = "conv4"
    tile_tissue: float = 0.0
    attention_branches: int = 1
    encoder: Mapping[str, Any] = field(default_factory=dict)
