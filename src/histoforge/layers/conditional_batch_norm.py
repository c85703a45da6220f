"""Class-conditional batch normalisation (De Vries et al. 2017)."""

from torch import Tensor, nn

from histoforge.layers.class_affine import ClassAffine


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose scale and shift depend on the class of each image.

    y = gamma[label] (x - mean) / sqrt(var + eps) + beta[label], with the mean and variance of each channel over the
    batch and the positions; gamma starts at 1 and beta at 0. Evaluation mode uses the running statistics instead.

    Args:
        channels: number of channels C.
        classes: number of classes; 1 is plain batch normalisation.
        running: whether to keep running statistics. A critic needs none, since it is never used outside training.
    """

    def __init__(self, channels: int, classes: int, running: bool = True) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False, track_running_stats=running)
        self.affine = ClassAffine(channels, classes)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Normalise x [B, C, H, W] for labels, int64 [B]."""
        return self.affine(self.norm(x), labels)
