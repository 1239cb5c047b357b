package store_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/enroll"
)

func TestTry(t *testing.T) {
	const limit, window = 3, 15 * time.Minute
	steps := []struct {
		name string
		at   time.Duration
		want enroll.Tries
	}{
		{"first", 0, enroll.Tries{Allowed: true, Left: 2}},
		{"second", time.Minute, enroll.Tries{Allowed: true, Left: 1}},
		{"third", 2 * time.Minute, enroll.Tries{Allowed: true, Left: 0}},
		{"fourth starts the pause", 3 * time.Minute, enroll.Tries{Until: noon.Add(18 * time.Minute)}},
		{"in the pause", 17 * time.Minute, enroll.Tries{Until: noon.Add(18 * time.Minute)}},
		{"after the pause", 18 * time.Minute, enroll.Tries{Allowed: true, Left: 2}},
		{"window over", 33 * time.Minute, enroll.Tries{Allowed: true, Left: 2}},
		{"clock stepped back", 32 * time.Minute, enroll.Tries{Allowed: true, Left: 1}},
	}
	onBoth(t, func(t *testing.T, db *fixture) {
		for _, s := range steps {
			t.Run(s.name, func(t *testing.T) {
				got := must[enroll.Tries](t)(db.Try(t.Context(), "anna", limit, window, noon.Add(s.at)))
				equal(t, "tries", got, s.want)
			})
		}
		other := must[enroll.Tries](t)(db.Try(t.Context(), "bob\x00\xff", limit, window, noon))
		equal(t, "other key", other, enroll.Tries{Allowed: true, Left: 2})
	})
}

func TestForgiveGiveBackAndPrune(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		try := func() enroll.Tries {
			return must[enroll.Tries](t)(db.Try(ctx, "anna", 3, time.Minute, noon))
		}
		try()
		equal(t, "second", try().Left, 1)
		if err := db.GiveBack(ctx, "anna"); err != nil {
			t.Fatal(err)
		}
		equal(t, "second again", try().Left, 1)
		if err := db.Forgive(ctx, "anna"); err != nil {
			t.Fatal(err)
		}
		equal(t, "after forgiving", try().Left, 2)
		equal(t, "pruned early", must[int](t)(db.PruneAttempts(ctx, noon.Add(59*time.Second))), 0)
		equal(t, "pruned", must[int](t)(db.PruneAttempts(ctx, noon.Add(time.Minute))), 1)
		if err := db.GiveBack(ctx, "nobody"); err != nil {
			t.Error(err)
		}
	})
}

func TestA8_ParallelTriesStayWithinLimit(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		replica := opened(t, db.address)
		var allowed atomic.Int32
		var waiting sync.WaitGroup
		for i := range 40 {
			via := enroll.Attempts(db)
			if i%2 == 1 {
				via = replica
			}
			waiting.Go(func() {
				tries, err := via.Try(t.Context(), "anna", 3, time.Minute, noon)
				if err != nil {
					t.Error(err)
				}
				if tries.Allowed {
					allowed.Add(1)
				}
			})
		}
		waiting.Wait()
		equal(t, "allowed", allowed.Load(), 3)
	})
}
