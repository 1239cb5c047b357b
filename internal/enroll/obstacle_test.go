package enroll_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// mute is a directory that never answers and counts the questions.
type mute struct {
	portal.Directory
	asked *atomic.Int32
}

func (d mute) Person(ctx context.Context, _ portal.PersonID) (portal.Person, error) {
	d.asked.Add(1)
	<-ctx.Done()
	return portal.Person{}, ctx.Err()
}

// TestF7_PagesLeaveASlowDirectoryAlone: after one page has waited in vain, others do not
// hold connections that sign-ins need.
func TestF7_PagesLeaveASlowDirectoryAlone(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	var asked atomic.Int32
	r := p.NewRegistrar(func(c *enroll.Config) { c.Directory = mute{c.Directory, &asked} })
	for range 3 {
		if err := r.Obstacle(t.Context(), p.anna.ID, ""); err != nil {
			t.Errorf("a directory that does not answer counts as %v", err)
		}
	}
	if got := asked.Load(); got != 1 {
		t.Errorf("asked %d times, want once", got)
	}
	p.Clock.Advance(30*time.Second + 1)
	if err := r.Obstacle(t.Context(), p.anna.ID, ""); err != nil || asked.Load() != 2 {
		t.Errorf("later: %v after %d questions, want another", err, asked.Load())
	}
}
