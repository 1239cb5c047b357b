package store

// Shared reports whether other processes may be using the database as replicas:
// true for PostgreSQL, false for SQLite, which one portal has to itself.
func (db *DB) Shared() bool { return db.reader == db.writer }
