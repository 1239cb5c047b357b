package crl_test

import (
	"strings"
	"testing"
	"time"

	"certportal/ca/crl"
)

// TestF10_AStuckBuilderIsTold goes through the life of a list whose successor hangs in the
// key store: each level is logged once, and as ERROR from a day before the end.
func TestF10_AStuckBuilderIsTold(t *testing.T) {
	o := newFixture(t)
	o.refresh()
	o.Warn()
	o.log.taken()
	o.mu.Lock()
	o.stuck = make(chan struct{})
	o.mu.Unlock()
	building := make(chan error, 1)
	go func() { building <- o.Refresh(t.Context()) }()
	o.revokeNew()
	for _, tt := range []struct {
		at    time.Duration // of the life of 72 hours and the five minutes it is dated back
		level crl.Level
		log   string
	}{
		{time.Hour, crl.Fresh, ""},
		{36 * time.Hour, crl.Half, "level=WARN"},
		{36*time.Hour + time.Minute, crl.Half, ""},
		{47 * time.Hour, crl.Half, "level=ERROR"}, // 25 hours left
		{48 * time.Hour, crl.Half, ""},
		{54 * time.Hour, crl.Late, "level=ERROR"},
		{55 * time.Hour, crl.Late, ""},
		{68*time.Hour + 30*time.Minute, crl.Ending, "level=ERROR"},
		{72 * time.Hour, crl.Ended, "level=ERROR"},
		{73 * time.Hour, crl.Ended, ""},
	} {
		o.pass(noon.Add(tt.at).Sub(o.clock()))
		o.Warn()
		if got := o.Health()[1].Level; got != tt.level {
			t.Errorf("after %v: level %v, want %v", tt.at, got, tt.level)
		}
		log := o.log.taken()
		if tt.log == "" && log != "" || strings.Count(log, tt.log) != 1 && tt.log != "" {
			t.Errorf("after %v: log %q, want one %q", tt.at, log, tt.log)
		}
	}
	close(o.stuck)
	if err := <-building; err != nil {
		t.Error(err)
	}
	o.refresh()
	o.log.taken()
	o.Warn()
	if h := o.Health()[1]; h.Level != crl.Fresh || h.Trouble != "" || h.Waiting || o.log.taken() != "" {
		t.Errorf("health %+v after the key store came back, want it well and nothing said", h)
	}
}

func TestHealthTellsWhatIsServed(t *testing.T) {
	o := newFixture(t, withDeltas)
	for _, h := range o.Health() {
		if h.List.Number != 0 || h.Level != crl.Ended {
			t.Errorf("before the first list: %+v", h)
		}
	}
	o.refresh()
	o.refresh()
	health := o.Health()
	if len(health) != 3 || health[0].Issuer != "root" || health[1].Delta || !health[2].Delta {
		t.Fatalf("health of %d lists, want root, issuing and its delta list: %+v", len(health), health)
	}
	for i, name := range []string{"root", "issuing", "issuing-delta"} {
		l := held(t, o, name)
		if h := health[i]; h.List.Number != l.Number || h.Size != len(l.DER) || h.List.DER != nil || h.Level != crl.Fresh {
			t.Errorf("health %+v, want that of list %d", h, l.Number)
		}
	}
	if next, want := health[2].Next, noon.Add(15*time.Minute); !next.Equal(want) {
		t.Errorf("next delta list at %s, want %s", next, want)
	}
}

// The root's list is renewed by hand, because its key is kept offline. The first warning
// comes at half of the year.
func TestRootListAsksForItsKey(t *testing.T) {
	o := newFixture(t)
	o.refresh()
	o.rootGone = true
	for _, tt := range []struct {
		days int
		want string
	}{{100, ""}, {183, "level=WARN"}, {300, "level=ERROR"}} {
		o.pass(noon.AddDate(0, 0, tt.days).Sub(o.clock()))
		o.refresh()
		o.log.taken()
		o.Warn()
		log := o.log.taken()
		if tt.want == "" && log != "" || !strings.Contains(log, tt.want) || tt.want != "" && !strings.Contains(log, "bring the key") {
			t.Errorf("after %d days: log %q, want %q", tt.days, log, tt.want)
		}
	}
}
