"""What the product is about, as frozen data and pure functions. Imports nothing else of ours."""
