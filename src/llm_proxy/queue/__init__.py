"""How exchanges get from the journal to a worker. ``base`` is the seam."""
