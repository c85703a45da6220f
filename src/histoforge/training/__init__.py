"""The engine that all trainers share: device, precision, processes, checkpoints, resume, EMA, logging and models."""
