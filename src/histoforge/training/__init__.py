"""The one engine under every trainer: device, precision, processes, checkpoints, resume, EMA, logging; and models."""
