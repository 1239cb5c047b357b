package localca

import (
	"context"
	"errors"
	"fmt"
	"time"

	"certportal/internal/succession"
	"certportal/store"
)

// BelowOwnRoot reports whether the own root issued an authority, so that the portal lists
// its revocation.
func (a *CA) BelowOwnRoot(of succession.Authority) bool {
	return a.Folder.OwnRoot() && len(of.Chain) == 1 && of.Root().Equal(a.Folder.Root())
}

// Revoke marks an issuing CA as revoked. From then on nothing is issued under it, on all
// replicas. One below the own root waits for the next list of the root, whose key must be
// there. It changes nothing if the CA is revoked already; again reports that.
func (a *CA) Revoke(ctx context.Context, db *store.DB, of succession.Authority, reason int, now time.Time) (again bool, err error) {
	own := a.BelowOwnRoot(of)
	if own {
		if _, err := a.RootIssuer(); err != nil {
			return false, err
		}
	}
	r, err := succession.RevocationOf(of.Authority, !own, reason, now)
	if err != nil {
		return false, err
	}
	err = db.RevokeAuthority(ctx, r, r.Entry("operator"))
	if errors.Is(err, succession.ErrState) && of.Record.State == succession.Revoked {
		return true, a.Line.Refresh(ctx)
	}
	if err != nil {
		return false, fmt.Errorf("revoking %s: %w", of.Name, err)
	}
	return false, a.Line.Refresh(ctx)
}
