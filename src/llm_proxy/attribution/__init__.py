"""Who and what a call belongs to: read from its headers, its path and its body, in everybody's spelling."""
