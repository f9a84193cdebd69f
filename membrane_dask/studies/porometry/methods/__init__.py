"""Methods of the bench: each reads its tables and evaluates the readings of one membrane."""
