"""Pages for people: rendered on the server, no scripts, nothing loaded from elsewhere."""
