"""The discriminator of the unified ViT cGAN, which is also its classifier (Li et al., section III.A)."""

from torch import Tensor, nn

from histoforge.classifiers.backbones.multiscale_vit import SOURCE_TOKEN, MultiscaleVit
from histoforge.classifiers.network import Classifier
from histoforge.generators.vitgan.config import VitganConfig
from histoforge.generators.vitgan.geometry import backbone
from histoforge.layers.transformer_encoder import TransformerEncoder, initialise
from histoforge.training.model_files import ModelInfo


class VitganDiscriminator(nn.Module):
    """A classifier, and a second last encoder with a head for the source: real or synthetic.

    A2-10: the last encoders of both heads run in parallel, and both see the tokens of the image, the class token and
    the source token.

    Attributes:
        classifier: the classifier that the training hands on; f2(D(x)) are its logits.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        backbone = classifier.backbone
        assert isinstance(backbone, MultiscaleVit)
        channels = backbone.channels
        self.source_encoder = TransformerEncoder(channels, backbone.heads)
        self.source_norm = nn.LayerNorm(channels)
        self.source_head = nn.Linear(channels, 1)
        for layer in (self.source_encoder, self.source_head, classifier.fc):
            layer.apply(initialise)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Score images [B, 3, H, W] in [-1, 1]: source scores f1, float32 [B], and logits f2, float32 [B, classes]."""
        hidden = self.classifier.trunk(images).hidden
        return self._source(hidden), self.classifier.tail(hidden).logits

    def source(self, images: Tensor) -> Tensor:
        """Compute the source scores f1 alone, float32 [B]."""
        return self._source(self.classifier.trunk(images).hidden)

    def _source(self, hidden: Tensor) -> Tensor:
        token = self.source_norm(self.source_encoder(hidden)[:, SOURCE_TOKEN])
        score: Tensor = self.source_head(token).float().squeeze(1)
        return score


def classifier_info(config: VitganConfig, info: ModelInfo) -> ModelInfo:
    """Return the description of the classifier of a training, given that of its generator."""
    architecture = {
        "stem": "imagenet",
        "width": config.discriminator_width,
        "dropout": config.classifier_dropout,
        "imagenet_normalisation": False,
    }
    return ModelInfo(
        kind="classifier",
        method=backbone(config, info.patch_size),
        config={**architecture, **{name: value for name, value in info.config.items() if name != "seed"}},
        classes=info.classes,
        patch_size=info.patch_size,
        mpp=info.mpp,
        digests=info.digests,
    )
