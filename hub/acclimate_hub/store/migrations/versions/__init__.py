"""Steps from one format of the database to the next; each is frozen once it has been released."""
