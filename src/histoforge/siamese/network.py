"""The MFT-SNN: a VGG-16 autoencoder whose encoder measures the similarity of two images."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoforge.core.errors import ModelError
from histoforge.training.tensors import first_mismatch

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the 13 convolutions, in five blocks with 2x2 max pooling between them (Simonyan and Zisserman 2015)."""

ENCODER_LAYERS = sum(map(len, VGG16))
MIN_SIZE_PX = 16


class MftSnn(nn.Module):
    """VGG-16 autoencoder with a similarity embedding.

    It implements section III.A of "Enhancing GANs with Contrastive Learning-Based Multistage Progressive Finetuning
    SNN".

    A0-5: the paper trains with a Euclidean distance and uses a cosine in [0, 1]. Here the embedding is the mean over
    all positions of the last convolution's output after its ReLU, scaled to length 1. No value is negative, so the
    cosine of two embeddings lies in [0, 1]. The squared distance is 2 - 2 cos, so both measures agree.
    A0-7: the encoder is fully convolutional and takes both patches of 64 px and overviews of 224 px. Images in [-1, 1]
    are normalised to ImageNet's mean and standard deviation inside the network. VGG-16's fifth max pooling is left
    out, because the mean over positions replaces it. The paper does not describe its decoder; this one has a
    convolution for each halving in the encoder.

    Attributes:
        features: the encoder, with the names of torchvision's `vgg16().features`, so that its weights fit.
        decoder: the decoder's convolutions.
        dims: length of an embedding, 512 at width 1.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, width: float = 1.0) -> None:
        """Build the network with random weights (He initialisation, as in torchvision).

        Args:
            width: factor on all numbers of channels; 1 is VGG-16.
        """
        super().__init__()
        blocks = [[max(8, round(width * channels / 8) * 8) for channels in block] for block in VGG16]
        layers: list[nn.Module] = []
        inputs = 3
        for number, block in enumerate(blocks):
            layers += [nn.MaxPool2d(2)] if number else []
            for channels in block:
                layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = channels
        self.features = nn.Sequential(*layers)
        self.dims = inputs
        outputs = [block[-1] for block in reversed(blocks[:-1])]
        self.decoder = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in zip([inputs, *outputs], [*outputs, 3], strict=True)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # all of them have one
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        # ((x + 1) / 2 - mean) / std
        self.register_buffer("scale", (0.5 / std).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", ((0.5 - mean) / std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Compute embeddings, float32 [B, dims], of length 1 and without negative values.

        Args:
            images: float [B, 3, H, W] in [-1, 1], of at least 16 px.
        """
        return self.pool(self.maps(images))

    def maps(self, images: Tensor) -> Tensor:
        """Compute the encoder's output before pooling, [B, dims, H/16, W/16], without negative values.

        Args:
            images: float [B, 3, H, W] in [-1, 1], of at least 16 px.
        """
        return self.late_maps(self.early_maps(images, ENCODER_LAYERS), ENCODER_LAYERS)

    def early_maps(self, images: Tensor, trainable_layers: int) -> Tensor:
        """Compute the input of the last `trainable_layers` convolutions of the encoder.

        Args:
            images: float [B, 3, H, W] in [-1, 1].
            trainable_layers: 0 to 13.
        """
        return self.features[: self._first_of(trainable_layers)](images * self.scale + self.shift)

    def late_maps(self, hidden: Tensor, trainable_layers: int) -> Tensor:
        """Finish encoding the result of `early_maps`, [B, dims, H/16, W/16]; `hidden` is not changed."""
        return self.features[self._first_of(trainable_layers) :](hidden)

    def pool(self, maps: Tensor) -> Tensor:
        """Pool the encoder's output into embeddings, float32 [B, dims]."""
        return F.normalize(maps.float().mean(dim=(2, 3)), dim=1)

    def decode(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Reconstruct images from the encoder's output.

        Args:
            maps: [B, dims, H/16, W/16].
            size: height and width of the images, px.

        Returns:
            float [B, 3, H, W] in [-1, 1].
        """
        for halvings, convolution in enumerate(self.decoder):
            level = len(self.decoder) - 1 - halvings
            if halvings:
                maps = F.interpolate(F.relu(maps), size=(size[0] >> level, size[1] >> level))
            maps = convolution(maps)
        return torch.tanh(maps)

    def trainable_convolutions(self, layers: int) -> list[nn.Conv2d]:
        """Return the last `layers` convolutions of the encoder, in forward order (A0-2: counts weighted layers)."""
        convolutions = [module for module in self.features if isinstance(module, nn.Conv2d)]
        return convolutions[len(convolutions) - layers :]

    def load_encoder(self, weights: dict[str, Tensor], source: str) -> None:
        """Load encoder weights under torchvision's names (`features.0.weight`, …); other tensors are ignored.

        Args:
            weights: tensors by name.
            source: name of the weights in error messages.

        Raises:
            ModelError: a tensor is missing or has another shape; the message names it.
        """
        encoder = {name: tensor for name, tensor in self.state_dict().items() if name.startswith("features.")}
        if problem := first_mismatch(encoder, weights):
            raise ModelError(
                f"The weights {source} do not fit a VGG-16 encoder ({problem}): give those of torchvision's vgg16, "
                "with width=1."
            )
        self.load_state_dict({**self.state_dict(), **{name: weights[name] for name in encoder}})

    def _first_of(self, trainable_layers: int) -> int:
        """Return the index in `features` at which the last `trainable_layers` convolutions begin."""
        positions = [index for index, module in enumerate(self.features) if isinstance(module, nn.Conv2d)]
        return len(self.features) if not trainable_layers else positions[len(positions) - trainable_layers]
