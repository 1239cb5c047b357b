package admin_test

import (
	"errors"
	"testing"
	"time"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/testkit/fixture"
)

func TestNearnessOf(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		name string
		left time.Duration
		want admin.ExpiryLevel
	}{
		{"years", 3650 * day, admin.ExpiryFar}, {"181 days", 181 * day, admin.ExpiryFar},
		{"180 days", 180 * day, admin.ExpirySoon}, {"61 days", 61 * day, admin.ExpirySoon},
		{"60 days", 60 * day, admin.ExpiryNear}, {"31 days", 31 * day, admin.ExpiryNear},
		{"30 days", 30 * day, admin.ExpiryUrgent}, {"a moment", 1, admin.ExpiryUrgent},
		{"now", 0, admin.ExpiryPast}, {"yesterday", -day, admin.ExpiryPast},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := admin.ExpiryLevelOf(tt.left); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// Without an authority there is nothing to show, publish or test, and nothing is
// recorded.
func TestWithoutAuthority(t *testing.T) {
	d := newHarness(t, 0, 0)
	if _, err := d.Authority(t.Context(), ada()); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("looking: got %v", err)
	}
	if _, err := d.PublishNow(t.Context(), ada(), "issuing"); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("publishing: got %v", err)
	}
	if err := d.TestIssue(t.Context(), ada()); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("testing: got %v", err)
	}
	if n := len(fixture.EntriesOf(t, d.db, audit.CRLRequested)) + len(fixture.EntriesOf(t, d.db, audit.TestIssued)); n != 0 {
		t.Errorf("got %d entries, want none", n)
	}
}
