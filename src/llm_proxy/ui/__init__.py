"""Pages for people: rendered on the server, whole without scripts, nothing loaded from elsewhere."""
