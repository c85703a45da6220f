"""Which network the classifiers of an arm are."""

from dataclasses import dataclass

from histoforge.classifiers.backbones import StemChoice


@dataclass(frozen=True)
class Architecture:
    """Which network an arm's classifiers are.

    Attributes:
        backbone: its name in `BACKBONES`.
        stem: 'auto', 'imagenet' or 'small' (see `resolve_stem`).
        width: factor on all numbers of channels.
        dropout: rate p of the dropout before the last residual block.
        weights: file of weights to begin with; '' begins with random ones.
        weights_sha256: SHA-256 of that file; '' leaves it unchecked.
        trainable_layers: weighted layers that train, counted from the end; 0 is all (see `freeze_all_but`).
        head_width: units of a hidden layer before the classifying one; 0 for none.
        judge_backbone: name of the network of one more classifier, begun with random weights; '' for none. It chooses
            nothing, and judges synthetic patches by features that are not those of the other classifiers.
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
