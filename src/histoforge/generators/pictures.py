"""Pictures of what a generator draws: grids by class, and where its attention looks."""

from histoforge.patches.pictures import attention_overlay, grid, save_png

__all__ = ["attention_overlay", "grid", "save_png"]
