package store

import (
	"context"
	"errors"
)

// Probe writes a change without effect and waits until it is durable, so that a
// moved file, a disk that keeps no data and a read-only server are noticed before a
// request fails. It uses the drift watch's row, which is rarely written. When a newer program
// moved the schema on, or the records were moved away, it ends all writing as
// [DB.CheckWritable] does.
func (db *DB) Probe(ctx context.Context) error {
	if err := db.CheckWritable(ctx); err != nil {
		return err
	}
	return db.write(ctx, "trying to write", func(ctx context.Context, t *tx) error {
		touched, err := t.Exec(ctx, "UPDATE watch SET id = id WHERE id = 1")
		if err == nil && touched != 1 {
			err = errors.New("the row of the watch is missing")
		}
		return err
	})
}

// CheckWritable looks whether a newer program moved the schema on, or the records were moved
// to another database, since this one was opened. Then it ends all writing, and the error wraps
// [ErrSchemaNewer] or [ErrMoved].
func (db *DB) CheckWritable(ctx context.Context) error {
	if err := db.CheckSchema(ctx); err != nil {
		return err
	}
	err := db.checkPlace(ctx)
	if errors.Is(err, ErrMoved) {
		db.Stop(err)
		return err
	}
	return nil
}
