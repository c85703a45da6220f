"""Several processes, one a GPU, that train as one: equal weights, shares of each batch, averaged gradients."""

import os

import torch
import torch.distributed as dist
from torch import nn


def rank() -> int:
    """This process's place among those that train together; 0 where it is alone."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join(device: torch.device) -> None:
    """Meet the other processes that torch.distributed.run started; nothing to do where there is but one."""
    if world_size() > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the processes.

    One flat all-reduce instead of DistributedDataParallel's hooks, which a gradient penalty's second derivative
    passes by.
    """
    if world_size() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients]).div_(world_size())
    dist.all_reduce(flat)
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))
