"""The product shown without any provider: a scripted upstream, and calls that get answers from it."""
