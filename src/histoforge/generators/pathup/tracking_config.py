"""The settings of drawing large images; imports nothing heavy."""

from typing import Literal

from pydantic import Field

from histoforge.core.settings import Settings
from histoforge.generators.pathup.config import TIMESTEPS


class TrackingConfig(Settings):
    """Settings of denoising the windows of a large image together (PathUp, section 3.3).

    The paper's latent windows of 64 px overlap by 32 px (section 4.2). Strength, steps and solver are not given (A3-6).
    """

    upscaler: Literal["tracking", "bicubic", "trained"] = Field(
        "tracking",
        description="what enlarges an overview: 'tracking', which draws the patches' details into it, or, for "
        "comparison, 'bicubic' interpolation or the 'trained' upscaler",
    )
    strength: float = Field(
        0.6,
        gt=0,
        lt=1,
        description="share of the noise schedule that the enlarged overview is taken back to: more of it gives new "
        "details, less of it keeps the overview",
    )
    steps: int = Field(
        50,
        ge=1,
        le=TIMESTEPS,
        description="denoising steps from pure noise; 'strength' times as many are taken",
        json_schema_extra={"unit": "steps"},
    )
    solver: Literal["ddim", "dpm"] = Field(
        "ddim", description="solver of the reverse process: 'ddim', or 'dpm' (DPM-Solver++ of second order)"
    )
    overlap: float = Field(0.5, ge=0, lt=1, description="share of a window that its neighbour covers")
    weights: Literal["paper", "tent", "none"] = Field(
        "paper",
        description="weights of a window's pixels where windows overlap: 'paper' from 1 in the centre to 0.5 at the "
        "edge, 'tent' down to 0 at the edge, or 'none'",
    )
    jitter: bool = Field(False, description="whether windows are moved at random between steps")
    window_batch: int = Field(
        16, ge=1, le=4096, description="windows denoised at once", json_schema_extra={"unit": "windows"}
    )
