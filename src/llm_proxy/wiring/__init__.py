"""The only place that constructs concrete things: one file per process, so that none imports what another needs."""
