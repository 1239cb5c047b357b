package admin

import (
	"context"
	"errors"
	"strings"
	"time"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/catalogue"
	"certportal/internal/portal"
)

// Halt is the state of the switch that stops issuing on all replicas. Certificates that
// were recorded before are finished. Revocation, CRLs, pages and the portal's own
// certificates continue, because the portal needs them to work.
type Halt struct {
	Reason string    // shown to people, a catalogue.Text; empty while issuing is on
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

// Halt stops issuing. The texts are shown to people who ask for a certificate: that of ""
// to all, others to readers of their language. Each has 1 to MaxComment characters.
func (s *Service) Halt(ctx context.Context, by portal.Actor, texts map[string]string) (Halt, error) {
	entry, err := s.authorize(ctx, by, authz.Request{Act: authz.HaltIssuing})
	if err != nil {
		return Halt{}, err
	}
	text, err := haltText(texts)
	if err != nil {
		return Halt{}, err
	}
	entry.Action, entry.Detail = audit.IssuingHalted, map[string]string{"reason": string(text)}
	h := Halt{Reason: string(text), Actor: string(by.Person), Since: entry.At}
	if _, err := s.c.Store.SetHalt(ctx, h, entry); err != nil {
		return Halt{}, storeErr("stopping issuing", err)
	}
	s.c.Log.Warn("issuing is stopped", "by", by.Person, "reason", h.Reason)
	return h, nil
}

// haltText checks the texts and joins them. Only the one for all must be there.
func haltText(texts map[string]string) (catalogue.Text, error) {
	checked := map[string]string{}
	for _, lang := range append([]string{""}, catalogue.Languages()...) {
		if lang != "" && strings.TrimSpace(texts[lang]) == "" {
			continue
		}
		g, err := Grounds{Cause: portal.Withdrawn, Comment: texts[lang]}.Check()
		var refusal *portal.Refusal
		if errors.As(err, &refusal) && lang != "" {
			refusal.Field += "-" + lang
		}
		if err != nil {
			return "", err
		}
		checked[lang] = g.Comment
	}
	return catalogue.NewText(checked), nil
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
