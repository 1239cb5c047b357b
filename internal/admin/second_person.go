package admin

import (
	"context"
	"errors"
	"time"

	"certportal/ca"
	"certportal/internal/authz"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// AloneWindow is the time in which the certificates are counted that one administrator
// ends without a second one.
const AloneWindow = time.Hour

// alone is the bound of an actor. The operator has none: that account can read database
// and key anyway.
func (s *Service) alone(by portal.Actor) enroll.Alone {
	if by.IsOperator() {
		return enroll.Alone{}
	}
	return enroll.Alone{Person: by.Person, Since: s.c.Now().Add(-AloneWindow), Most: s.c.SecondPerson}
}

// EndedAlone is how many certificates an administrator ended within the last hour
// without a second one.
func (s *Service) EndedAlone(ctx context.Context, by portal.Actor) (int, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return 0, err
	}
	n, err := s.c.Store.EndedAlone(ctx, s.alone(by))
	return n, storeErr("counting certificates ended", err)
}

// revokeOrAsk revokes certificates of one person, or makes a bulk revocation of the
// filter that waits for a second administrator when the actor would end too many within
// an hour. The device or the person is closed at once even so: no new certificate may
// follow while the order waits, and closing ends none.
func (s *Service) revokeOrAsk(ctx context.Context, by portal.Actor, person portal.PersonID, g Grounds, r enroll.Revocation, f Filter) ([]ca.Serial, *BulkRevocation, error) {
	var ended []ca.Serial
	err := enroll.ErrSecondPerson
	if len(r.Serials) <= s.c.SecondPerson || by.IsOperator() {
		ended, err = s.revoke(ctx, by, person, g, r)
	}
	if !errors.Is(err, enroll.ErrSecondPerson) {
		return ended, nil, err
	}
	if g, err = g.Check(); err != nil {
		return nil, nil, err
	}
	if r.BlockDevice != "" || r.EndPerson != "" {
		r.CloseOnly = true
		if _, err = s.revoke(ctx, by, person, g, r); err != nil {
			return nil, nil, err
		}
	}
	o, err := s.CreateBulk(ctx, by, f)
	if err != nil {
		return nil, nil, err
	}
	for o.State == Gathering {
		if err := s.gather(ctx, o); err != nil {
			return nil, nil, err
		}
		if o, err = s.c.Store.Bulk(ctx, o.ID); err != nil {
			return nil, nil, storeErr("reading bulk revocation", err)
		}
	}
	o, err = s.ConfirmBulk(ctx, by, o.ID, o.Items, g)
	return nil, &o, err
}
