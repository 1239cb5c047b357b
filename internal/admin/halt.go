package admin

import (
	"context"
	"time"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/portal"
)

// Halt is the state of the switch that stops issuing on all replicas. Certificates that
// were recorded before are finished. Revocation, CRLs, pages and the portal's own
// certificates continue, because the portal needs them to work.
type Halt struct {
	Reason string    // shown to people; empty while issuing is on
	Actor  string    // who changed it
	Since  time.Time // zero while issuing is on
}

// RestoredCopy is the reason of the halt that the portal sets itself, when it finds that
// its database is an older copy. Pages say it in their language.
const RestoredCopy = "the database is an older copy"

// On reports whether issuing is stopped.
func (h Halt) On() bool { return h.Reason != "" }

// Halted returns the state of the switch. All staff may read it.
func (s *Service) Halted(ctx context.Context) (Halt, error) {
	h, err := s.c.Store.Halted(ctx)
	return h, storeErr("reading whether issuing is stopped", err)
}

// Halt stops issuing. The text of 1 to MaxComment characters is shown to people who ask
// for a certificate.
func (s *Service) Halt(ctx context.Context, by portal.Actor, text string) (Halt, error) {
	entry, err := s.authorize(ctx, by, authz.Request{Act: authz.HaltIssuing})
	if err != nil {
		return Halt{}, err
	}
	checked, err := Grounds{Cause: portal.Withdrawn, Comment: text}.Check()
	if err != nil {
		return Halt{}, err
	}
	entry.Action, entry.Detail = audit.IssuingHalted, map[string]string{"reason": checked.Comment}
	h := Halt{Reason: checked.Comment, Actor: string(by.Person), Since: entry.At}
	if _, err := s.c.Store.SetHalt(ctx, h, entry); err != nil {
		return Halt{}, storeErr("stopping issuing", err)
	}
	s.c.Log.Warn("issuing is stopped", "by", by.Person, "reason", h.Reason)
	return h, nil
}

// Resume resumes issuing, and reports whether it was stopped.
func (s *Service) Resume(ctx context.Context, by portal.Actor) (bool, error) {
	entry, err := s.authorize(ctx, by, authz.Request{Act: authz.HaltIssuing})
	if err != nil {
		return false, err
	}
	entry.Action = audit.IssuingResumed
	changed, err := s.c.Store.SetHalt(ctx, Halt{Actor: string(by.Person)}, entry)
	if changed {
		s.c.Log.Warn("issuing is resumed", "by", by.Person)
	}
	return changed, storeErr("resuming issuing", err)
}
