"""How a request reaches an upstream. ``base`` is the seam; the proxy knows nothing else of it."""
