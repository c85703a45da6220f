"""Cost of an embedding: the guide runs inside the training loop of a GAN, where it must not be the bottleneck."""

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
        batch: number of images.
        seconds: median of several rounds, after one warm-up round.
        images_per_second: throughput at that time.
        macs_per_image: multiply-add operations, counted by torch.
        parameters: number of parameters of the encoder.
        device, precision: where and at which precision the cost was measured.
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
