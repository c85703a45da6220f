"""Nested state (tensors, numbers, strings, lists, dicts) in one safetensors file, without pickle."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from histoforge.core.errors import CheckpointError
from histoforge.training.tensors import explained_reading, explained_writing


def save_state(path: Path, state: Any) -> None:
    """Write nested `state` to `path`; tensors keep their dtype, and dict keys may be integers.

    Tensors in channels_last format are loaded in that format: torch's fused Adam walks through a weight and its moments
    in memory order, and would mix up values if the orders differed.
    """
    tensors: dict[str, Tensor] = {}
    tree = _pack(state, tensors)
    with explained_writing(path):
        save_file(tensors, path, metadata={"tree": json.dumps(tree)})


def load_state(path: Path) -> Any:
    """Load the state that `save_state` wrote, with tensors on the CPU.

    Raises:
        CheckpointError: the file is truncated or is not a state file.
    """
    advice = "delete this checkpoint to start from the one before or anew"
    with explained_reading(path, CheckpointError, advice), safe_open(path, framework="pt") as file:
        tree = json.loads(file.metadata()["tree"])
        return _unpack(tree, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 - not a dict


def _pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        if not value.is_contiguous() and value.ndim == 4 and value.is_contiguous(memory_format=torch.channels_last):
            return {"channels_last": name}
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[_pack(key, tensors), _pack(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"tuple" if isinstance(value, tuple) else "list": [_pack(item, tensors) for item in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint cannot contain {type(value).__name__}")


def _unpack(tree: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(tree, dict):
        return tree
    ((kind, value),) = tree.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "channels_last":
        return tensors[value].contiguous(memory_format=torch.channels_last)
    if kind == "dict":
        return {_unpack(key, tensors): _unpack(item, tensors) for key, item in value}
    items = [_unpack(item, tensors) for item in value]
    return tuple(items) if kind == "tuple" else items


def random_state() -> dict[str, Any]:
    """Return the states of torch's default generators on the CPU and on the GPU."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Restore the states from `random_state`."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
