package admin_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"certportal/internal/admin"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// slowStore counts slowly, and has nothing else.
type slowStore struct {
	admin.Store
	counts atomic.Int32
	takes  time.Duration
}

func (s *slowStore) AdminStats(ctx context.Context, now time.Time, since admin.StatsSince) (admin.Stats, error) {
	n := s.counts.Add(1)
	select {
	case <-ctx.Done():
		return admin.Stats{}, ctx.Err()
	case <-time.After(s.takes):
	}
	return admin.Stats{Working: int(n), At: now}, nil
}

func (s *slowStore) AuthorityHolders(context.Context, time.Time) (map[string]admin.Holders, error) {
	return nil, nil
}

func (s *slowStore) RefusalReasons(context.Context, time.Time, int) ([]admin.ReasonCount, error) {
	return nil, nil
}
func (s *slowStore) Campaigns(context.Context, time.Time, time.Time) ([]admin.Campaign, error) {
	return nil, nil
}
func (s *slowStore) Halted(context.Context) (admin.Halt, error) { return admin.Halt{}, nil }
func (s *slowStore) Bulks(context.Context, bool, int, int) ([]admin.BulkRevocation, error) {
	return nil, nil
}

// TestASlowCountBlocksNoVisitor: visitors wait a few seconds for a count, those who left do
// not, and all together cause one.
func TestASlowCountBlocksNoVisitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &slowStore{takes: 20 * time.Second}
		s := testkit.Must(admin.New(admin.Config{Store: db}))(t)
		visit := func(patience time.Duration) (admin.Stats, time.Duration, error) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			began := time.Now()
			o, err := s.Overview(ctx, ada())
			return o.Stats, time.Since(began), err
		}
		if _, took, err := visit(time.Second); took != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a visitor who left: waited %s, %v", took, err)
		}
		var waiting sync.WaitGroup
		for range 10 {
			waiting.Go(func() {
				if got, took, err := visit(time.Minute); err != nil || !got.At.IsZero() || took > 5*time.Second {
					t.Errorf("before the first count: %+v after %s, %v", got, took, err)
				}
			})
		}
		waiting.Wait()
		time.Sleep(20 * time.Second)
		if got, took, err := visit(time.Minute); err != nil || got.Working != 1 || took != 0 || db.counts.Load() != 1 {
			t.Errorf("after the count: %+v after %s, %v, %d counts", got, took, err, db.counts.Load())
		}
		time.Sleep(2 * time.Minute)
		if got, took, err := visit(time.Minute); err != nil || got.Working != 1 || took > 5*time.Second {
			t.Errorf("while it is counted again: %+v after %s, %v", got, took, err)
		}
		time.Sleep(20 * time.Second)
		if got, _, err := visit(time.Minute); err != nil || got.Working != 2 || db.counts.Load() != 2 {
			t.Errorf("at last: %+v, %v, %d counts", got, err, db.counts.Load())
		}
	})
}

// TestStaffOfGroups: a person of two groups is one member, the directory is asked once for
// all visitors, and again after half a minute. Groups that cannot be read say so.
func TestStaffOfGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		takes := time.Second
		anna, ben := portal.Person{ID: "a", Name: "Anna"}, portal.Person{ID: "b", Name: "ben"}
		s := testkit.Must(admin.New(admin.Config{Store: noStore{}, RoleGroups: func(ctx context.Context, limit int) ([]portal.RoleGroup, error) {
			asked.Add(1)
			time.Sleep(takes)
			return []portal.RoleGroup{
				{Role: portal.Admin, Name: "B", People: []portal.Person{ben}, More: true},
				{Role: portal.Admin, Name: "A", People: []portal.Person{anna, ben}},
				{Role: portal.Helpdesk, Name: "gone", Err: portal.ErrNotFound},
				{Role: portal.Helpdesk, Name: "silent", Err: errors.New("timeout")},
			}, nil
		}}))(t)
		read := func() admin.Staff { return testkit.Must(s.Staff(t.Context(), ada()))(t) }
		var waiting sync.WaitGroup
		for range 5 {
			waiting.Go(func() { read() })
		}
		waiting.Wait()
		got := read()
		if asked.Load() != 1 || got.Silent || len(got.Roles) != 3 {
			t.Fatalf("asked %d times, got %+v", asked.Load(), got)
		}
		admins, desk := got.Roles[2], got.Roles[0]
		if len(admins.People) != 2 || admins.People[0].Person.ID != "a" || strings.Join(admins.People[1].Groups, " ") != "B A" || !admins.More {
			t.Errorf("administrators: %+v", admins)
		}
		if len(desk.Groups) != 2 || !desk.Groups[0].Missing || desk.Groups[0].Unread || !desk.Groups[1].Unread || desk.Groups[1].Missing {
			t.Errorf("groups of the helpdesk: %+v", desk.Groups)
		}
		time.Sleep(time.Minute)
		if read(); asked.Load() != 2 {
			t.Errorf("a minute later: asked %d times, want 2", asked.Load())
		}
		takes = 30 * time.Second
		time.Sleep(time.Minute)
		began := time.Now()
		if got := read(); got.Silent || time.Since(began) > 15*time.Second {
			t.Errorf("of a slow directory: %+v after %s", got, time.Since(began))
		}
		time.Sleep(takes)
	})
}

// TestStaffOfASilentDirectory is a page all the same.
func TestStaffOfASilentDirectory(t *testing.T) {
	s := testkit.Must(admin.New(admin.Config{Store: noStore{}, RoleGroups: func(context.Context, int) ([]portal.RoleGroup, error) {
		return nil, errors.New("no answer")
	}}))(t)
	if got, err := s.Staff(t.Context(), ada()); err != nil || !got.Silent || len(got.Roles) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}
