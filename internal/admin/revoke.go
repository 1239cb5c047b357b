package admin

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// MaxComment is the longest comment of a revocation, in characters.
const MaxComment = 200

// Causes lists the causes that an administrator may choose, in the order of the pages.
func Causes() []portal.Cause {
	return []portal.Cause{portal.Lost, portal.Left, portal.Replaced, portal.Withdrawn}
}

// Grounds say why something is revoked.
type Grounds struct {
	Cause   portal.Cause // one of Causes
	Comment string       // 1 to MaxComment characters, for readers of the audit log
}

// Check returns the grounds with a normalized comment, or the *portal.Refusal for the
// first mistake.
func (g Grounds) Check() (Grounds, error) {
	known := false
	for _, c := range Causes() {
		known = known || g.Cause == c
	}
	if !known {
		return g, &portal.Refusal{Reason: portal.CauseBad, Field: "cause"}
	}
	g.Comment = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(g.Comment, ""), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	switch {
	case g.Comment == "":
		return g, &portal.Refusal{Reason: portal.CommentEmpty, Field: "comment"}
	case utf8.RuneCountInString(g.Comment) > MaxComment:
		return g, &portal.Refusal{Reason: portal.CommentLong, Field: "comment", Limit: MaxComment}
	}
	return g, nil
}

// detail returns the details of the audit entry beside the cause.
func (g Grounds) detail() map[string]string { return map[string]string{"comment": g.Comment} }

// RevokeCertificate revokes one certificate. It returns no serial when it was revoked
// before, so that of two concurrent calls one returns it. If that is more than one
// administrator may revoke, it revokes nothing and returns a bulk revocation that waits
// for a second one. It returns portal.ErrNotFound for an unknown certificate and for the
// portal's own.
func (s *Service) RevokeCertificate(ctx context.Context, by portal.Actor, serial ca.Serial, g Grounds) ([]ca.Serial, *BulkRevocation, error) {
	d, err := s.Certificate(ctx, by, serial)
	if err != nil {
		return nil, nil, err
	}
	return s.revokeOrAsk(ctx, by, d.Person, g, enroll.Revocation{Serials: []ca.Serial{serial}}, Filter{Serial: serial.String()})
}

// RevokeDevice blocks a device: its certificates are revoked, and pending requests end.
// It returns a bulk revocation like [Service.RevokeCertificate]; the device is blocked even
// then.
func (s *Service) RevokeDevice(ctx context.Context, by portal.Actor, id portal.DeviceID, g Grounds) ([]ca.Serial, *BulkRevocation, error) {
	d, err := s.Device(ctx, by, id)
	if err != nil {
		return nil, nil, err
	}
	return s.revokeOrAsk(ctx, by, d.Person, g, enroll.Revocation{BlockDevice: id}, Filter{DeviceID: id})
}

// RevokePerson revokes everything a person has. It returns a bulk revocation like
// [Service.RevokeCertificate]; codes, challenges, hand-offs and sessions end even then.
func (s *Service) RevokePerson(ctx context.Context, by portal.Actor, id portal.PersonID, g Grounds) ([]ca.Serial, *BulkRevocation, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.Revoke, Target: target(id)}); err != nil {
		return nil, nil, err
	}
	live, err := s.revocable(ctx, Filter{PersonID: id})
	if err != nil {
		return nil, nil, err
	}
	return s.revokeOrAsk(ctx, by, id, g, enroll.Revocation{Serials: live, EndPerson: id}, Filter{PersonID: id})
}

// revocable lists the certificates of a filter that are valid or pending.
func (s *Service) revocable(ctx context.Context, f Filter) ([]ca.Serial, error) {
	var live []ca.Serial
	var from Cursor
	for {
		found, err := s.c.Store.Certificates(ctx, f, from, gatherBatch, s.c.Now())
		if err != nil {
			return nil, storeErr("listing certificates", err)
		}
		live = append(live, revocableSerials(found.Rows)...)
		if found.Next == (Cursor{}) {
			return live, nil
		}
		from = found.Next
	}
}

// revocableSerials picks the people's certificates that are valid or pending.
func revocableSerials(rows []Certificate) []ca.Serial {
	var live []ca.Serial
	for _, c := range rows {
		if c.Kind == portal.KindUser && c.State != Expired && c.State != Revoked {
			live = append(live, c.Serial)
		}
	}
	return live
}

// revoke revokes certificates of one person.
func (s *Service) revoke(ctx context.Context, by portal.Actor, person portal.PersonID, g Grounds, r enroll.Revocation) ([]ca.Serial, error) {
	if person == "" {
		return nil, fmt.Errorf("certificate of the portal itself: %w", portal.ErrNotFound)
	}
	entry, err := s.authorize(ctx, by, authz.Request{Act: authz.Revoke, Target: target(person)})
	if err != nil {
		return nil, err
	}
	g, err = g.Check()
	if err != nil || len(r.Serials) == 0 && r.BlockDevice == "" && r.EndPerson == "" {
		return nil, err
	}
	entry.Action, entry.Person, entry.Detail = audit.CertificateRevoked, string(person), g.detail()
	r.Cause, r.At, r.Entry, r.Alone = g.Cause, entry.At, entry, s.alone(by)
	ended, err := s.c.Store.Revoke(ctx, r)
	if err != nil {
		return nil, storeErr("revoking", err)
	}
	if len(ended) > 0 {
		s.c.Revoked()
	}
	return ended, nil
}
