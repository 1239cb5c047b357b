package drift_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func TestRunEndsCertificatesByItself(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	c.disable("p001")
	ctx, cancel := context.WithCancel(t.Context())
	nudged, ended := make(chan struct{}), make(chan struct{})
	w := testkit.Must(drift.New(drift.Config{
		Directory: &c.fault, Store: c.db, Every: time.Millisecond, Grace: time.Millisecond,
		Now:     func() time.Time { c.clock.Advance(time.Millisecond); return c.clock.Now() },
		Revoked: func() { close(nudged) }, Log: slog.New(slog.DiscardHandler),
	}))(t)
	go func() {
		defer close(ended)
		w.Run(ctx)
	}()
	<-nudged
	testkit.Equal(t, "status", c.certificate("p001").Status, portal.Revoked)
	cancel()
	<-ended
}

func TestRest(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t))
	due := drift.Report{Began: c.clock.Now(), Mismatches: []drift.PersonMismatch{
		{Due: c.clock.Now().Add(3 * time.Minute)}, {Due: c.clock.Now().Add(2 * time.Minute)}, {Due: c.clock.Now()}, {},
	}}
	stopped := due
	stopped.Stopped = drift.TooMany
	cases := []struct {
		name   string
		report drift.Report
		err    error
		passed time.Duration
		chance float64
		want   time.Duration
	}{
		{"nothing due", drift.Report{Began: c.clock.Now()}, nil, 0, 1, 285 * time.Second},
		{"nothing due, shortest", drift.Report{Began: c.clock.Now()}, nil, 0, 0, 240 * time.Second},
		{"first that is due", due, nil, 0, 1, 2 * time.Minute},
		{"after a long pass", due, nil, time.Minute, 1, time.Minute},
		{"after too long a pass", due, nil, 10 * time.Minute, 1, time.Second},
		{"stopped", stopped, nil, 0, 1, 285 * time.Second},
		{"store in trouble", due, errors.New("locked"), 0, 1, 285 * time.Second},
	}
	for _, cs := range cases {
		t.Run(cs.name, func(t *testing.T) {
			c.clock.Advance(cs.passed)
			defer c.clock.Advance(-cs.passed)
			testkit.Equal(t, "rest", c.Delay(cs.report, cs.err, cs.chance), cs.want)
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t))
	cases := []struct {
		name   string
		config drift.Config
	}{
		{"no directory", drift.Config{Store: c.db}},
		{"no records", drift.Config{Directory: c.people}},
		{"negative grace", drift.Config{Directory: c.people, Store: c.db, Grace: -1}},
		{"negative rest", drift.Config{Directory: c.people, Store: c.db, Every: -1}},
		{"negative share", drift.Config{Directory: c.people, Store: c.db, Share: -0.1}},
		{"more than all", drift.Config{Directory: c.people, Store: c.db, Share: 1.1}},
	}
	for _, cs := range cases {
		t.Run(cs.name, func(t *testing.T) {
			if _, err := drift.New(cs.config); err == nil {
				t.Error("taken")
			}
		})
	}
}
