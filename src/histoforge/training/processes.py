"""Data-parallel training with one process per GPU: equal weights, shares of each batch, averaged gradients."""

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from histoforge.core.errors import SettingsError


def rank() -> int:
    """Return this process's rank among those that train together; 0 if it is alone."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Return the number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join(device: torch.device) -> None:
    """Join the other processes that torch.distributed.run started, if there are any."""
    if world_size() > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Replace each gradient with its mean over the processes.

    This uses one flat all-reduce instead of DistributedDataParallel's hooks, which the second derivative of a gradient
    penalty bypasses.
    """
    if world_size() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients]).div_(world_size())
    dist.all_reduce(flat)
    for gradient, average in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(average.view_as(gradient))


def share(batch: Tensor) -> Tensor:
    """Return this process's rows of a whole batch [B, …].

    Raises:
        SettingsError: the processes would get unequal shares, whose mean gradient is not that of the batch.
    """
    if len(batch) % world_size():
        raise SettingsError(
            f"A batch of {len(batch)} patches cannot be divided among {world_size()} processes: set batch_size to a "
            f"multiple of {world_size()}, or use another number of processes."
        )
    return batch.chunk(world_size())[rank()]


def uniform(rows: int, *shape: int, rng: torch.Generator) -> Tensor:
    """Draw uniform float32 numbers in [0, 1), [rows, *shape], for this process's rows of the whole batch.

    Every process draws for the whole batch, so that a row's numbers do not depend on the number of processes.
    """
    return share(torch.rand(rows * world_size(), *shape, generator=rng, device=rng.device))


def gather_rows(rows: Tensor) -> Tensor:
    """Concatenate the rows of all processes, [B / processes, …] to [B, …], differentiably."""
    if world_size() == 1:
        return rows
    whole = rows.new_zeros(world_size(), *rows.shape)
    whole[rank()] = rows
    return _Sum.apply(whole).flatten(0, 1)


def mean(values: Tensor) -> Tensor:
    """Return the mean over the processes of a tensor with the same shape in each, differentiably."""
    return values if world_size() == 1 else _Sum.apply(values) / world_size()


def total(values: Tensor) -> Tensor:
    """Return the sum over the processes of a tensor on the CPU with the same shape in each."""
    if world_size() == 1:
        return values
    on_device = values.cuda() if dist.get_backend() == "nccl" else values.clone()
    dist.all_reduce(on_device)
    return on_device.cpu()


def from_main(value: Any) -> Any:
    """Return the first process's value in every process."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def any_process(flag: bool, device: torch.device) -> bool:
    """Test whether `flag` is set in any process."""
    if world_size() == 1:
        return flag
    any_flag = torch.tensor(float(flag), device=device)
    dist.all_reduce(any_flag, dist.ReduceOp.MAX)
    return bool(any_flag)


def share_batch_norms(network: nn.Module) -> None:
    """Make a network's batch normalisation use the whole batch if several processes train it."""
    if world_size() > 1:
        for module in network.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = _SharedBatchNorm2d


class _Sum(torch.autograd.Function):
    """Sum over the processes, differentiable any number of times; every process contributes to the gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Sum.apply(gradients[0])


class _SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation with the mean and variance of all processes' rows.

    torch's SyncBatchNorm has neither a CPU version nor the second derivative that a gradient penalty needs.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training and self.running_mean is not None:
            return super().forward(input)
        x = input.float()
        average, square = mean(torch.stack([x.mean((0, 2, 3)), x.square().mean((0, 2, 3))]))
        variance = square - average.square()
        if self.training and self.running_mean is not None and self.running_var is not None:
            count = x.numel() / x.shape[1] * world_size()
            factor = self.momentum if self.momentum is not None else 0.1
            with torch.no_grad():
                self.running_mean.lerp_(average, factor)
                self.running_var.lerp_(variance * (count / (count - 1)), factor)
                if self.num_batches_tracked is not None:
                    self.num_batches_tracked += 1
        scale = (variance + self.eps).rsqrt()
        shift = -average * scale
        if self.affine:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        return (x * scale[:, None, None] + shift[:, None, None]).to(input.dtype)
