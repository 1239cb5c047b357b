package store

import (
	"context"
	"errors"
)

// Probe writes something that changes nothing and waits until it is durable, so that a
// file that was moved away, a disk that keeps nothing and a server that only reads show
// before somebody's request does. The row is the watch's, which is seldom written.
func (db *DB) Probe(ctx context.Context) error {
	return db.write(ctx, "trying to write", func(ctx context.Context, t *tx) error {
		touched, err := t.Exec(ctx, "UPDATE watch SET id = id WHERE id = 1")
		if err == nil && touched != 1 {
			err = errors.New("the row of the watch is missing")
		}
		return err
	})
}
