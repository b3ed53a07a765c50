"""The write-ahead log of the wire: append-only files on local disk, one writer per process, one reader per machine."""
