package admin_test

import (
	"errors"
	"testing"
	"time"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

func TestNearnessOf(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		name string
		left time.Duration
		want admin.Nearness
	}{
		{"years", 3650 * day, admin.EndFar}, {"181 days", 181 * day, admin.EndFar},
		{"180 days", 180 * day, admin.EndSoon}, {"61 days", 61 * day, admin.EndSoon},
		{"60 days", 60 * day, admin.EndNear}, {"31 days", 31 * day, admin.EndNear},
		{"30 days", 30 * day, admin.EndNow}, {"a moment", 1, admin.EndNow},
		{"now", 0, admin.EndOver}, {"yesterday", -day, admin.EndOver},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := admin.NearnessOf(tt.left); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// Without an authority there is nothing to look at, to publish or to try, and nothing
// is recorded as if there were.
func TestWithoutAuthority(t *testing.T) {
	d := newDesk(t, 0, 0)
	if _, err := d.Authority(t.Context(), ada()); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("looking: got %v", err)
	}
	if _, err := d.PublishNow(t.Context(), ada(), "issuing"); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("publishing: got %v", err)
	}
	if err := d.TestIssue(t.Context(), ada()); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("testing: got %v", err)
	}
	if n := len(d.entries(t, audit.ListOrdered)) + len(d.entries(t, audit.AuthorityTested)); n != 0 {
		t.Errorf("got %d entries, want none", n)
	}
}
