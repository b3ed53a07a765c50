"""The data plane: bytes in, bytes out. Nothing in here parses a response."""
