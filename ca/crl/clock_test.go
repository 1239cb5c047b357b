package crl_test

import (
	"strings"
	"testing"
	"time"

	"certportal/ca/crl"
)

const day = 24 * time.Hour

// TestF8_ClockSteps sets the clock forward and back: number and thisUpdate never decrease,
// and no list is made while the clock is before the last list.
func TestF8_ClockSteps(t *testing.T) {
	for name, step := range map[string]time.Duration{
		"back a day": -day, "back 400 days": -400 * day, "forth a day": day, "forth 400 days": 400 * day,
	} {
		t.Run(name, func(t *testing.T) {
			o := newFixture(t, withDeltas)
			o.refresh()
			o.refresh()
			before := *held(t, o, "issuing")
			o.pass(step)
			o.revokeNew()
			err := o.Refresh(t.Context())
			if step < 0 {
				checkRefused(t, o, err, before)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			ahead := *held(t, o, "issuing")
			follows(t, ahead, before)
			// The clock is set back to the right time: the lists are now in the future.
			o.pass(-step)
			o.revokeNew()
			checkRefused(t, o, o.Refresh(t.Context()), ahead)
			o.pass(step + time.Hour)
			if err := o.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			follows(t, *held(t, o, "issuing-delta"), ahead)
		})
	}
}

func held(t *testing.T, o *fixture, name string) *crl.List {
	t.Helper()
	l, ok := o.CRL(name)
	if !ok {
		t.Fatalf("no list %s", name)
	}
	return &l
}

func checkRefused(t *testing.T, o *fixture, err error, before crl.List) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "check the clock") {
		t.Errorf("Refresh: %v, want it to name the clock", err)
	}
	if now := held(t, o, "issuing"); now.Number != before.Number {
		t.Errorf("list %d in force, want %d to stay", now.Number, before.Number)
	}
	h := o.Health()[1]
	if !strings.Contains(h.Trouble, "clock") {
		t.Errorf("trouble %q, want it to name the clock", h.Trouble)
	}
	if _, err := o.PublishNow(t.Context(), "issuing"); err == nil {
		t.Error("PublishNow published a list that is older than the last")
	}
}

func follows(t *testing.T, after, before crl.List) {
	t.Helper()
	if after.Number <= before.Number || after.ThisUpdate.Before(before.ThisUpdate) || after.Through < before.Through {
		t.Errorf("list %d of %s does not follow list %d of %s", after.Number, after.ThisUpdate, before.Number, before.ThisUpdate)
	}
}
