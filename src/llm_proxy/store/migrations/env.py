"""What Alembic runs to migrate: the steps go over the connection that ``upgrade`` was given, in its transaction."""

from alembic import context

# No begin and no commit in here: it is the caller who holds the lock of the database.
context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
