"""HTTP faces on the store: each translates a request into a question to the store, none decides anything."""
