package drift_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// slowDirectory does not answer before the test lets it.
type slowDirectory struct {
	drift.Directory
	asked chan<- struct{}
	may   <-chan struct{}
}

func (d slowDirectory) People(ctx context.Context, ids []portal.PersonID) ([]portal.Person, error) {
	d.asked <- struct{}{}
	<-d.may
	return d.Directory.People(ctx, ids)
}

// Of two watches one works. When it does not renew its lease, the other one takes over within
// 30 seconds, and what the first one does afterwards changes nothing.
func TestF9_OneWatchAtATime(t *testing.T) {
	t.Parallel()
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		c := newHarness(t, address, staff(4)...)
		c.disable("p001")
		replica := fixture.Open(t, address)
		defer replica.Close()
		asked, answer := make(chan struct{}), make(chan struct{})
		stuck := c.watchOf(slowDirectory{&c.fault, asked, answer}, c.db)
		stuck.RenewEvery(time.Hour) // like a process that was killed or stopped
		c.leads(stuck)
		<-asked

		other := c.watch(replica)
		rest := other.Lead(t.Context()) // returns: the lease is the first one's
		marks := func() int { return c.count(audit.MismatchFound) }
		testkit.Equal(t, "marks while the first one works", marks(), 0)
		c.clock.Advance(30*time.Second - rest) // the other one asks every so often
		leave := c.leads(other)
		c.log.Await(t, "certificates differ from the directory")
		testkit.Equal(t, "marks of the other one", marks(), 1)

		c.disable("p002")
		close(answer) // the first one goes on, and finds two
		c.log.Await(t, drift.ErrLeaseLost.Error())
		testkit.Equal(t, "marks of the first one, which is too late", marks(), 1)

		// The end of a program gives the lease back.
		leave()
		c.look()
		testkit.Equal(t, "marks afterwards", marks(), 2)
	})
}

// A watch that works keeps its lease for as long as it takes.
func TestF9_AWatchRenewsItsLease(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(2)...)
	asked, answer := make(chan struct{}), make(chan struct{})
	renewed := make(chan time.Time, 1000)
	slow := c.watchOf(slowDirectory{&c.fault, asked, answer}, renewals{c.db, renewed})
	slow.RenewEvery(time.Millisecond)
	c.leads(slow)
	<-asked
	other := c.watch(c.db)
	for range 5 {
		c.clock.Advance(15 * time.Second)
		for until := range renewed {
			if until.After(c.clock.Now().Add(15 * time.Second)) {
				break
			}
		}
		other.Lead(t.Context()) // returns at once, or the test hangs
	}
	c.look() // an operator's pass takes the lease
	close(answer)
	c.log.Await(t, drift.ErrLeaseLost.Error())
}

// renewals shows until when a lease is renewed.
type renewals struct {
	drift.Store
	until chan<- time.Time
}

func (s renewals) RenewDriftLease(ctx context.Context, l drift.Lease, until time.Time) error {
	err := s.Store.RenewDriftLease(ctx, l, until)
	if err == nil {
		select {
		case s.until <- until:
		default:
		}
	}
	return err
}

// A watch that cannot reach the directory lets another one work.
func TestF9_AWatchWithoutDirectoryGivesItsLeaseBack(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(2)...)
	reached := c.fault
	c.fault.many = func(context.Context, []portal.Person, error) ([]portal.Person, error) {
		return nil, errors.New("no route")
	}
	c.Lead(t.Context())
	reason := func() drift.StopReason { return testkit.Must(c.db.DriftState(t.Context()))(t).Reason }
	testkit.Equal(t, "reason", reason(), drift.NoAnswer)
	leave := c.leads(c.watchOf(&reached, c.db))
	c.log.Await(t, "drift watch works again")
	leave()
	testkit.Equal(t, "reason, seen from the other one", reason(), "")
}

// So does one whose clock is wrong.
func TestF9_AWatchWithAWrongClockGivesItsLeaseBack(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(2)...)
	var wrong atomic.Bool
	w := testkit.Must(drift.New(drift.Config{
		Directory: &c.fault, Store: c.db, Replicas: true, Now: c.clock.Now, Log: c.log.Logger(),
		Hold: func() error {
			if wrong.Load() {
				return errors.New("the clock is wrong")
			}
			return nil
		},
	}))(t)
	w.RenewEvery(time.Millisecond)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Lead(t.Context())
	}()
	wrong.Store(true)
	<-ended
	c.disable("p001")
	leave := c.leads(c.Watch)
	c.log.Await(t, "certificates differ from the directory")
	leave()
}

// leads lets a watch work until the function that it returns is called.
func (c *harness) leads(w *drift.Watch) (leave func()) {
	ctx, stop := context.WithCancel(c.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Lead(ctx)
	}()
	return func() {
		stop()
		<-ended
	}
}
