package portal_test

import (
	"testing"
	"time"

	"certportal/internal/portal"
)

// TestStates: each state is what is known of the certificate, and nothing that is hoped.
func TestStates(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	year, soon := now.AddDate(1, 0, 0), now.Add(portal.EndsSoon)
	at := now.Add(-time.Hour)
	tests := []struct {
		name string
		c    portal.Certificate
		want portal.State
	}{
		{"being made", portal.Certificate{Status: portal.Pending, NotAfter: year}, portal.StateMaking},
		{"fresh", portal.Certificate{Status: portal.Issued, NotAfter: year}, portal.StateNotDownloaded},
		{"fetched", portal.Certificate{Status: portal.Issued, NotAfter: year, Delivered: at}, portal.StateDownloaded},
		{"seen to work", portal.Certificate{Status: portal.Issued, NotAfter: year, Delivered: at, Works: at}, portal.StateWorks},
		{"a month before its end", portal.Certificate{Status: portal.Issued, NotAfter: soon, Delivered: at, Works: at}, portal.StateEndsSoon},
		{"fetched, a month before its end", portal.Certificate{Status: portal.Issued, NotAfter: soon, Delivered: at}, portal.StateEndsSoon},
		{"at its end", portal.Certificate{Status: portal.Issued, NotAfter: now, Delivered: at, Works: at}, portal.StateExpired},
		{"renewed", portal.Certificate{Status: portal.Superseded, NotAfter: year, Ends: soon, Delivered: at, Works: at}, portal.StateReplaced},
		{"ended by the new one", portal.Certificate{Status: portal.Revoked, Cause: portal.Replaced, NotAfter: year, Delivered: at}, portal.StateReplaced},
		{"lost", portal.Certificate{Status: portal.Revoked, Cause: portal.Lost, NotAfter: year, Delivered: at, Works: at}, portal.StateBlocked},
		{"of a leaver", portal.Certificate{Status: portal.Revoked, Cause: portal.Left, NotAfter: year}, portal.StateBlocked},
		{"left in its place", portal.Certificate{Status: portal.Revoked, Cause: portal.Undelivered, NotAfter: year}, portal.StateNeverFetched},
		{"broken off", portal.Certificate{Status: portal.Revoked, Cause: portal.Abandoned, NotAfter: year}, portal.StateNeverFetched},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.c.State(now); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	if got := (portal.Device{Blocked: at, Certificate: tests[3].c}).State(now); got != portal.StateBlocked {
		t.Errorf("a blocked device: got %s", got)
	}
	if got := (portal.Device{Blocked: at, Removed: at, Certificate: tests[3].c}).State(now); got != portal.StateRemoved {
		t.Errorf("a removed device is %s", got)
	}
	if got := (portal.Device{}).State(now); got != portal.StateNotDownloaded {
		t.Errorf("a device that has not asked yet: got %s", got)
	}
}
