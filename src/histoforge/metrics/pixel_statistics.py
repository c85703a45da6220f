"""Features without a network: power spectrum, colours and tissue of each patch.

A network that was trained on real patches alone may prefer noise to patches with slightly wrong colours. These
statistics have no such blind spots by construction, but know nothing of shapes: two patches with the same colours and
the same coarseness look alike to them.
"""

import torch
from torch import Tensor

from histoforge.core.seeds import numpy_rng
from histoforge.ingest.pixels import tissue_share
from histoforge.metrics.extract import NamedExtractor, extract_features
from histoforge.patches.blocks import Images, rows_of
from histoforge.patches.device import to_uint8

BANDS = 12
QUANTILES = (0.05, 0.5, 0.95)
VISIBLE_NOISE = (2 / 255) ** 2
"""Power of white noise of two grey levels; powers far below it count as equal, because no eye tells them apart."""
LUMA = (0.299, 0.587, 0.114)
SMALLEST_DEVIATION = 0.02
QUANTILE_PIXELS = 4096
FITTED_PATCHES = 2000


class PixelStatistics:
    """Extractor of pixel statistics, each divided by its standard deviation among real patches.

    Attributes:
        name: 'pixel statistics'.
    """

    name = "pixel statistics"

    def __init__(self, real: Images) -> None:
        """Measure the deviations.

        Args:
            real: the real patches, of which 2,000 are drawn, or uint8 [N, H, W, 3].
        """
        rows = numpy_rng(0, "pixel statistics").permutation(len(real))[:FITTED_PATCHES]
        statistics = NamedExtractor(self.name, pixel_statistics)
        features = extract_features(statistics, rows_of(real, rows), label="pixel statistics")
        self._deviations = torch.from_numpy(features).std(0, correction=0).clamp(min=SMALLEST_DEVIATION)

    def features(self, images: Tensor) -> Tensor:
        """Compute features [B, D] of images float [-1, 1] [B, 3, H, W]."""
        return pixel_statistics(images) / self._deviations.to(images.device)


def pixel_statistics(images: Tensor) -> Tensor:
    """Return the power spectrum, the statistics of colours, and the share of tissue, side by side, float [B, D].

    Args:
        images: float [-1, 1] [B, 3, H, W].
    """
    images = images.float()
    tissue = torch.from_numpy(tissue_share(to_uint8(images).cpu().numpy())).to(images)
    return torch.cat([power_spectrum(images), colour_statistics(images), tissue[:, None]], 1)


def power_spectrum(images: Tensor) -> Tensor:
    """Return the decadic logarithm of the luminance's power in bands of spatial frequency, [B, bands].

    Up to 12 bands of equal width from 0 to 0.5 cycles per pixel; frequencies above that, of diagonal waves, count in
    the last band. Patches of less than 48 px have fewer bands. A Hann window keeps the edges from showing up as high
    frequencies.
    """
    height, width = images.shape[2:]
    luminance = torch.einsum("bchw,c->bhw", (images + 1) / 2, images.new_tensor(LUMA))
    luminance = luminance - luminance.mean((1, 2), keepdim=True)
    window = torch.outer(torch.hann_window(height), torch.hann_window(width)).to(images)
    power = torch.fft.fft2(luminance * window).abs().square() / window.square().sum()
    frequency = torch.hypot(
        torch.fft.fftfreq(height, device=images.device)[:, None], torch.fft.fftfreq(width, device=images.device)
    )
    bands = max(1, min(BANDS, min(height, width) // 4))
    band = (frequency * 2 * bands).long().clamp(max=bands - 1).flatten()[1:]  # without the mean
    sums = power.new_zeros(len(power), bands).index_add_(1, band, power.flatten(1)[:, 1:])
    return (sums / torch.bincount(band, minlength=bands) + VISIBLE_NOISE).log10()


def colour_statistics(images: Tensor) -> Tensor:
    """Return means, deviations, quantiles and correlations of the channels' optical densities, [B, 18].

    Optical density is -log10 of the transmitted light (Beer and Lambert), in which stains add up (Ruifrok and Johnston
    2001).
    """
    density = -(((images + 1) * 127.5 + 1) / 256).log10().flatten(2)
    mean = density.mean(2)
    centred = density - mean[..., None]
    deviation = centred.square().mean(2).sqrt()
    covariance = centred @ centred.mT / density.shape[2]
    scale = (deviation + SMALLEST_DEVIATION)[:, :, None] * (deviation + SMALLEST_DEVIATION)[:, None]
    first, second = torch.triu_indices(3, 3, offset=1)
    correlation = (covariance / scale)[:, first, second]
    step = max(1, density.shape[2] // QUANTILE_PIXELS)
    quantiles = density[..., ::step].quantile(density.new_tensor(QUANTILES), dim=2)
    return torch.cat([mean, deviation, quantiles.permute(1, 0, 2).flatten(1), correlation], 1)
