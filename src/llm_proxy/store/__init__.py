"""Where records live. ``base`` is the seam; each other file is one technology behind it."""
