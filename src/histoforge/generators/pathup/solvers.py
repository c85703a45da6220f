"""Solvers of the reverse process, from diffusers."""

import torch
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from torch import Tensor

ORDERS = {"ddim": 1, "dpm": 2}
"""Order of DPM-Solver++ by name; of the first order it is DDIM without noise (Lu et al. 2022)."""


def make_solver(name: str, alphas_cumprod: Tensor, steps: int, strength: float = 1.0) -> DPMSolverMultistepScheduler:
    """Return a solver that begins with the last `strength` of `steps` equal steps through the schedule.

    A solver of the second order combines each prediction with the previous one, which it keeps. A solver may therefore
    be called only once per step, always for the same area: a whole latent or a single window.

    Args:
        name: 'ddim' (Song et al. 2021, eta = 0) or 'dpm' (DPM-Solver++(2M), Lu et al. 2022).
        alphas_cumprod: abar_t of the schedule, float64 [T].
        steps: steps from pure noise.
        strength: share of the steps to take, above 0; at least one is taken.
    """
    alphas = alphas_cumprod / torch.cat([alphas_cumprod.new_ones(1), alphas_cumprod[:-1]])
    solver = DPMSolverMultistepScheduler(
        len(alphas), trained_betas=(1 - alphas).tolist(), solver_order=ORDERS[name], timestep_spacing="trailing"
    )
    solver.set_timesteps(steps)
    solver.set_begin_index(steps - max(1, round(strength * steps)))
    return solver


def solver_times(solver: DPMSolverMultistepScheduler) -> Tensor:
    """Return the times at which a solver has to be called, from the first, int64 [steps]."""
    return solver.timesteps[solver.begin_index :]
