package signin_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/testkit/fixture"
)

// dated notes until when each question may be answered.
type dated struct {
	portal.Directory
	until []time.Time
}

func (d *dated) note(ctx context.Context) {
	until, _ := ctx.Deadline()
	d.until = append(d.until, until)
}

func (d *dated) Canonical(ctx context.Context, login string) (string, error) {
	d.note(ctx)
	return d.Directory.Canonical(ctx, login)
}

func (d *dated) Authenticate(ctx context.Context, login, password string) (portal.Person, error) {
	d.note(ctx)
	return d.Directory.Authenticate(ctx, login, password)
}

// TestF7_QuestionsOfASignInShareTheirTime: a directory that answers each question just in
// time does not make a sign-in longer than one timeout. The reply to a person who waits is
// an outage.
func TestF7_QuestionsOfASignInShareTheirTime(t *testing.T) {
	p := newPortal(t)
	dir := &dated{Directory: p.People}
	signIn := p.NewSignIn(func(c *signin.Config) { c.Directory, c.Timeout = dir, time.Hour })
	if _, err := signIn.Authenticate(t.Context(), "anna", fixture.Password, portal.Actor{Address: "192.0.2.1"}); err != nil {
		t.Fatal(err)
	}
	if len(dir.until) < 2 || dir.until[0].IsZero() {
		t.Fatalf("deadlines of the questions %v, want two of one time", dir.until)
	}
	for _, until := range dir.until[1:] {
		if !until.Equal(dir.until[0]) {
			t.Errorf("deadlines of the questions %v, want one time", dir.until)
		}
	}
	late := p.NewSignIn(func(c *signin.Config) { c.Directory, c.Timeout = dir, time.Nanosecond })
	_, err := late.Authenticate(t.Context(), "anna", fixture.Password, portal.Actor{Address: "192.0.2.1"})
	var outage *portal.Outage
	if !errors.As(err, &outage) || outage.Part != portal.PartDirectory {
		t.Errorf("after the time: got %v, want an outage of the directory", err)
	}
}
