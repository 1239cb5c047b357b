package scep

import (
	"context"
	"errors"
	"slices"

	"certportal/ca"
	"certportal/internal/portal"
)

// recipient returns the RA that an envelope is encrypted to. Another replica may have issued
// it after the last load: then the store has it. The error is errEnvelope when there is no
// such RA, errNoKey, or that of an outage: the device must try again, and is not refused.
//
// Each message that names no known RA costs a look-up by primary key, less than the record
// of its refusal. Only the serial of a valid RA makes the server decrypt a key, and once.
func (s *Server) recipient(ctx context.Context, e envelope) (*registrationAuthority, recipientInfo, error) {
	if ra, r, ok := s.match(e); ok {
		return ra, r, nil
	}
	certificate, encrypted, err := s.lookUp(ctx, e)
	if err != nil {
		return nil, recipientInfo{}, err
	}
	if err := s.addRA(ctx, certificate, encrypted); err != nil {
		return nil, recipientInfo{}, err
	}
	if ra, r, ok := s.match(e); ok {
		return ra, r, nil
	}
	return nil, recipientInfo{}, errEnvelope // from another issuer, or revoked by now
}

func (s *Server) match(e envelope) (*registrationAuthority, recipientInfo, bool) {
	for _, ra := range s.ras.all() {
		if r, ok := e.recipient(ra.cert); ok {
			return ra, r, true
		}
	}
	return nil, recipientInfo{}, false
}

// lookUp reads the first valid RA among the recipients of an envelope from the store.
func (s *Server) lookUp(ctx context.Context, e envelope) (certificate, encrypted []byte, err error) {
	for _, r := range e.data.Recipients {
		serial, err := ca.SerialOf(r.Recipient.Serial)
		if err != nil {
			continue // the portal issues none like it
		}
		certificate, encrypted, err := s.c.Store.RA(ctx, serial, s.c.Now())
		switch {
		case errors.Is(err, portal.ErrNotFound):
			continue
		case err != nil:
			return nil, nil, portal.AsOutage(portal.PartStore, "reading RA of another replica", err)
		}
		return certificate, encrypted, nil
	}
	return nil, nil, errEnvelope
}

// addRA adds an RA to the list, unless another request did so in the meantime.
func (s *Server) addRA(ctx context.Context, certificate, encrypted []byte) error {
	unlock, err := s.ras.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	list := slices.Clone(s.ras.all())
	if slices.ContainsFunc(list, func(ra *registrationAuthority) bool { return string(ra.cert.Raw) == string(certificate) }) {
		return nil
	}
	ra, err := s.tryDecrypt(certificate, encrypted)
	if err != nil {
		return err
	}
	list = append(list, ra)
	slices.SortStableFunc(list, func(a, b *registrationAuthority) int { return b.cert.NotAfter.Compare(a.cert.NotAfter) })
	s.ras.list.Store(&list)
	return nil
}
