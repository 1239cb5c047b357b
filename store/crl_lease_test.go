package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/ca/crl"
	"certportal/internal/test/testkit"
)

// builds is a group of builders that make CRLs until there are enough.
type builds struct {
	clock  atomic.Int64 // a second further at each try, so that leases run out
	left   atomic.Int64
	deaths atomic.Int64
	mu     sync.Mutex
	made   []int64
}

func (b *builds) now() time.Time {
	return testkit.Noon.Add(time.Duration(b.clock.Add(1)) * time.Second)
}

// build makes CRLs in the name of a builder. Every so often the builder dies while it
// holds the lease, and another one comes under a new name.
func (b *builds) build(ctx context.Context, db crl.Store, name string) error {
	tries, builder := 0, name
	for b.left.Load() > 0 {
		before, _, err := db.Latest(ctx, "issuing", false, 1<<62)
		if err != nil {
			return err
		}
		now := b.now()
		turn, err := db.AcquireLease(ctx, "issuing", builder, now, lease)
		if errors.Is(err, crl.ErrBusy) || errors.Is(err, context.DeadlineExceeded) { // a busy machine
			breathe(ctx)
			continue
		}
		if err != nil {
			return err
		}
		if turn.Number <= before.Number {
			return fmt.Errorf("number %d behind %d", turn.Number, before.Number)
		}
		if tries++; tries%100 == 0 {
			b.deaths.Add(1)
			builder = fmt.Sprint(name, tries)
			continue
		}
		err = db.Publish(ctx, turn, listOf(turn, now))
		if errors.Is(err, crl.ErrOvertaken) {
			continue
		}
		if err != nil {
			return err
		}
		b.left.Add(-1)
		b.mu.Lock()
		b.made = append(b.made, turn.Number)
		b.mu.Unlock()
	}
	return nil
}

// breathe leaves the machine to the others for a moment.
func breathe(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Millisecond):
	}
}

// watch reads the newest CRL until the context ends, and returns an error when it is
// older than one that was read before.
func watch(ctx context.Context, db crl.Store) error {
	var last crl.List
	for ; ctx.Err() == nil; breathe(ctx) {
		list, found, err := db.Latest(context.WithoutCancel(ctx), "issuing", false, last.Number)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if list.Number < last.Number || list.ThisUpdate.Before(last.ThisUpdate) || list.Through < last.Through {
			return fmt.Errorf("list %d of %v after list %d of %v", list.Number, list.ThisUpdate, last.Number, last.ThisUpdate)
		}
		if list.Number > last.Number && (len(list.DER) != 1 || list.DER[0] != byte(list.Number)) {
			return fmt.Errorf("list %d is %x", list.Number, list.DER)
		}
		last = list
	}
	return nil
}

// Four builders make 10,000 CRLs on PostgreSQL. Numbers are unique and only increase,
// published CRLs never get older, and a builder that dies with its lease is replaced.
func TestF9_ParallelBuildersNeverShareANumber(t *testing.T) {
	const builders = 4
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			want := map[string]int64{"postgres": 10_000, "sqlite": 1_000}[engine.name]
			if raced || testing.Short() {
				want = 500
			}
			address := engine.address(t)
			db := &database{DB: opened(t, address), plain: connect(t, engine.driver, address)}
			replica := opened(t, address)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			b := new(builds)
			b.left.Store(want)
			errs := make(chan error, builders)
			for i := range builders {
				via := db.DB
				if i%2 == 1 {
					via = replica
				}
				go func() { errs <- b.build(ctx, via, fmt.Sprint("builder", i)) }()
			}
			watched := make(chan error, 1)
			go func() { watched <- watch(ctx, replica) }()
			for range builders {
				if err := <-errs; err != nil {
					t.Error(err)
					b.left.Store(0)
				}
			}
			stop()
			if err := <-watched; err != nil {
				t.Error(err)
			}
			b.check(t, db, want)
		})
	}
}

// check compares what the builders report with what is stored.
func (b *builds) check(t *testing.T, db *database, want int64) {
	t.Helper()
	rows, err := db.plain.Query("SELECT number, der IS NOT NULL FROM crls ORDER BY this_update, number")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var stored []int64
	whole := 0
	for rows.Next() {
		var number int64
		var kept bool
		if err := rows.Scan(&number, &kept); err != nil {
			t.Fatal(err)
		}
		if kept {
			whole++
		}
		stored = append(stored, number)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(b.made)
	testkit.Equal(t, "what builders say is stored", slices.Equal(b.made, stored), true)
	testkit.Equal(t, "different numbers", len(slices.Compact(b.made)), len(stored))
	testkit.Equal(t, "lists with content", whole, 1)
	if int64(len(stored)) < want || b.deaths.Load() < want/200 {
		t.Errorf("%d lists and %d deaths, want %d and some", len(stored), b.deaths.Load(), want)
	}
}
