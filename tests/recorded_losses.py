"""The losses that a training passes to its optimisers."""

from histoforge.training.engine import Engine


def recorded_losses(monkeypatch):
    """Return a list to which every update adds its loss."""
    step, losses = Engine.step, []

    def recorded(engine, optimizer, loss, **clipping):
        losses.append(loss.item())
        step(engine, optimizer, loss, **clipping)

    monkeypatch.setattr(Engine, "step", recorded)
    return losses
