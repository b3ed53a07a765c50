"""Records in the shape of files: what is written for others to read, and read of what others have written."""
