package admin

import (
	"context"
	"time"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/portal"
)

// Halt is the switch that stops issuing, on all replicas at once. What was recorded
// before is finished; revoking, lists and pages go on, and so do the portal's own
// certificates, without which no page would.
type Halt struct {
	Reason string    // what people are told; empty while issuing goes on
	Actor  string    // who turned it
	Since  time.Time // zero while issuing goes on
}

// On reports whether issuing is stopped.
func (h Halt) On() bool { return h.Reason != "" }

// Halted gives the state of the switch. Everybody on the staff may know.
func (s *Service) Halted(ctx context.Context) (Halt, error) {
	h, err := s.c.Store.Halted(ctx)
	return h, storeErr("reading whether issuing is stopped", err)
}

// Halt stops issuing. The text is for the people who come meanwhile: 1 to
// MaxComment characters.
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

// Resume lets issuing go on, and reports whether it was stopped.
func (s *Service) Resume(ctx context.Context, by portal.Actor) (bool, error) {
	entry, err := s.authorize(ctx, by, authz.Request{Act: authz.HaltIssuing})
	if err != nil {
		return false, err
	}
	entry.Action = audit.IssuingResumed
	changed, err := s.c.Store.SetHalt(ctx, Halt{Actor: string(by.Person)}, entry)
	if changed {
		s.c.Log.Warn("issuing goes on", "by", by.Person)
	}
	return changed, storeErr("letting issuing go on", err)
}
