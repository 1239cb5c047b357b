package sqldb

import (
	"context"
	"fmt"

	"github.com/pressly/goose/v3"
)

// migrate applies what is missing, then compares the versions. In this order,
// because only applying takes the lock under which the version table is made;
// on a newer schema it finds nothing to apply.
func migrate(ctx context.Context, provider *goose.Provider) error {
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrating schema: %w", err)
	}
	found, known, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("reading schema version: %w", err)
	}
	if found > known {
		return fmt.Errorf("%w: found version %d, known are versions up to %d", ErrSchemaNewer, found, known)
	}
	return nil
}
