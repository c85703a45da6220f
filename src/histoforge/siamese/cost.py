"""What an embedding costs: the guide works inside the training loop of a GAN, where it must not be the bottleneck."""

import time
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from histoforge.metrics.results import Result
from histoforge.siamese.guide import Guide

ROUNDS = 5


class InferenceCost(Result):
    """The cost of embedding a batch.

    Attributes:
        batch: images.
        seconds: the median of several rounds, after one that is not counted.
        images_per_second: from it.
        macs_per_image: multiplications with additions, counted by torch.
        parameters: of the encoder.
        device, precision: where and how it was measured.
    """

    batch: int
    seconds: float
    images_per_second: float
    macs_per_image: int
    parameters: int
    device: str
    precision: str


def inference_cost(guide: Guide, batch: int) -> InferenceCost:
    """Measure the guide on `batch` images of its patch size."""
    images = torch.zeros((batch, 3, *guide.info.patch_size), device=guide.device)
    with FlopCounterMode(display=False) as counter:
        guide.embed(images[:1])
    guide.embed(images)
    rounds = []
    for _ in range(ROUNDS):
        _wait(guide.device)
        began = time.perf_counter()
        guide.embed(images)
        _wait(guide.device)
        rounds.append(time.perf_counter() - began)
    seconds = median(rounds)
    return InferenceCost(
        batch=batch,
        seconds=round(seconds, 6),
        images_per_second=round(batch / seconds, 1),
        macs_per_image=counter.get_total_flops() // 2,
        parameters=sum(p.numel() for p in guide.network.features.parameters()),
        device=str(guide.device),
        precision=str(guide.dtype).removeprefix("torch."),
    )


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
