"""Page structure, drawing style, and HTML rendering; knows nothing of findings."""
