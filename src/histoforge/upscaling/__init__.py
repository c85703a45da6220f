"""Upscalers: networks that enlarge images by a fixed factor, PathUp's comparison with patch-wise timestep tracking."""
