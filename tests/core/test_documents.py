"""Values become JSON that every parser accepts."""

import math
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel

from histoforge.core.documents import json_values


@dataclass
class Interval:
    low: float
    high: float


class Score(BaseModel):
    name: str
    values: list[float]


def test_non_finite_numbers_become_null():
    assert json_values({"a": np.float64("nan"), "b": [math.inf, 1], "c": np.arange(2)}) == {
        "a": None,
        "b": [None, 1],
        "c": [0, 1],
    }


def test_dataclasses_and_models_become_dictionaries():
    value = {"interval": Interval(0.5, math.nan), "scores": (Score(name="fid", values=[1.0]),), 3: np.int64(4)}
    assert json_values(value) == {
        "interval": {"low": 0.5, "high": None},
        "scores": [{"name": "fid", "values": [1.0]}],
        "3": 4,
    }
