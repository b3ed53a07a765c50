"""The schema, step by step; the newest step says the same as sql.py. ``upgrade`` is what walks the steps.

A step that was released never changes, and imports nothing of ours: it must do tomorrow what it does today.
"""

#: The newest step. Kept here, so that a store whose schema is up to date need not import Alembic to know it.
HEAD = "0020"
