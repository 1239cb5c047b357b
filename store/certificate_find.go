package store

import (
	"context"
	"fmt"

	"certportal/ca"
	"certportal/internal/portal"
)

// Certificate finds a certificate of any kind and person by its serial. The error
// wraps portal.ErrNotFound when there is none.
func (db Enrolments) Certificate(ctx context.Context, serial ca.Serial) (portal.Certificate, error) {
	var c certificateRow
	err := db.One(ctx, "SELECT "+certificateColumns+" FROM certificates c WHERE c.serial = $1",
		[]any{serial.String()}, c.fields()...)
	if err != nil {
		return portal.Certificate{}, fmt.Errorf("finding certificate %s: %w", serial, err)
	}
	return c.value()
}
