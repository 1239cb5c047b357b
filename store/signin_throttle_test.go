package store_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/internal/signin"
	"certportal/internal/test/testkit"
)

func TestTry(t *testing.T) {
	limit := signin.Limit{Tries: 3, Window: 15 * time.Minute}
	steps := []struct {
		name string
		at   time.Duration
		want signin.Tries
	}{
		{"first", 0, signin.Tries{Allowed: true, Left: 2}},
		{"second", time.Minute, signin.Tries{Allowed: true, Left: 1}},
		{"third", 2 * time.Minute, signin.Tries{Allowed: true, Left: 0}},
		{"fourth starts the pause", 3 * time.Minute, signin.Tries{Until: testkit.Noon.Add(18 * time.Minute)}},
		{"in the pause", 17 * time.Minute, signin.Tries{Until: testkit.Noon.Add(18 * time.Minute)}},
		{"after the pause", 18 * time.Minute, signin.Tries{Allowed: true, Left: 2}},
		{"window over", 33 * time.Minute, signin.Tries{Allowed: true, Left: 2}},
		{"clock stepped back", 32 * time.Minute, signin.Tries{Allowed: true, Left: 1}},
	}
	onBoth(t, func(t *testing.T, db *database) {
		for _, s := range steps {
			t.Run(s.name, func(t *testing.T) {
				got := testkit.Must(db.Try(t.Context(), "anna", limit, testkit.Noon.Add(s.at)))(t)
				testkit.Equal(t, "tries", got, s.want)
			})
		}
		other := testkit.Must(db.Try(t.Context(), "bob\x00\xff", limit, testkit.Noon))(t)
		testkit.Equal(t, "other key", other, signin.Tries{Allowed: true, Left: 2})
	})
}

// TestA8_RollingWindow counts as Active Directory does: a count is forgotten only
// after a window without a try, so that tries around a window's end, or one now and
// then, add up here before they add up there.
func TestA8_RollingWindow(t *testing.T) {
	limit := signin.Limit{Tries: 3, Window: 30 * time.Minute, Rolling: true}
	steps := []struct {
		name string
		at   time.Duration
		want signin.Tries
	}{
		{"first", 0, signin.Tries{Allowed: true, Left: 2}},
		{"at the end of its window", 29 * time.Minute, signin.Tries{Allowed: true, Left: 1}},
		{"after it", 31 * time.Minute, signin.Tries{Allowed: true, Left: 0}},
		{"much later", 60 * time.Minute, signin.Tries{Until: testkit.Noon.Add(90 * time.Minute)}},
		{"after the pause", 90 * time.Minute, signin.Tries{Allowed: true, Left: 2}},
		{"a window without a try", 120 * time.Minute, signin.Tries{Allowed: true, Left: 2}},
	}
	onBoth(t, func(t *testing.T, db *database) {
		for _, s := range steps {
			t.Run(s.name, func(t *testing.T) {
				got := testkit.Must(db.Try(t.Context(), "anna", limit, testkit.Noon.Add(s.at)))(t)
				testkit.Equal(t, "tries", got, s.want)
				pruned := testkit.Must(db.PruneAttempts(t.Context(), testkit.Noon.Add(s.at+29*time.Minute)))(t)
				testkit.Equal(t, "forgotten early", pruned, 0)
			})
		}
	})
}

// TestA8_LeakingLimit gives tries back one by one: three in fifteen minutes are one in
// five.
func TestA8_LeakingLimit(t *testing.T) {
	limit := signin.Limit{Tries: 3, Window: 15 * time.Minute, Leaking: true}
	steps := []struct {
		name string
		at   time.Duration
		want signin.Tries
	}{
		{"first", 0, signin.Tries{Allowed: true, Left: 2}},
		{"second", 0, signin.Tries{Allowed: true, Left: 1}},
		{"third", 4 * time.Minute, signin.Tries{Allowed: true, Left: 0}},
		{"too many", 4 * time.Minute, signin.Tries{Until: testkit.Noon.Add(5 * time.Minute)}},
		{"clock stepped back", 2 * time.Minute, signin.Tries{Until: testkit.Noon.Add(5 * time.Minute)}},
		{"one came back", 6 * time.Minute, signin.Tries{Allowed: true, Left: 0}},
		{"no more", 9 * time.Minute, signin.Tries{Until: testkit.Noon.Add(10 * time.Minute)}},
		{"two came back", 16 * time.Minute, signin.Tries{Allowed: true, Left: 1}},
		{"all came back", 60 * time.Minute, signin.Tries{Allowed: true, Left: 2}},
	}
	onBoth(t, func(t *testing.T, db *database) {
		for _, s := range steps {
			t.Run(s.name, func(t *testing.T) {
				got := testkit.Must(db.Try(t.Context(), "office", limit, testkit.Noon.Add(s.at)))(t)
				testkit.Equal(t, "tries", got, s.want)
			})
		}
		testkit.Equal(t, "pruned early", testkit.Must(db.PruneAttempts(t.Context(), testkit.Noon.Add(64*time.Minute)))(t), 0)
		testkit.Equal(t, "pruned", testkit.Must(db.PruneAttempts(t.Context(), testkit.Noon.Add(76*time.Minute)))(t), 1)
	})
}

// TestA8_CountersTogether counts as one what the directory counts as one: no counter
// forgets, and no row is dropped, before all had a window without a try.
func TestA8_CountersTogether(t *testing.T) {
	counter := func(key string, tries int) signin.Counter {
		return signin.Counter{Key: key, Limit: signin.Limit{Tries: tries, Window: 30 * time.Minute, Rolling: true}}
	}
	sum := signin.Together{Keys: []string{"strangers", "known", "again"}, Tries: 4}
	steps := []struct {
		name     string
		at       time.Duration
		counters []signin.Counter
		want     signin.Tries
	}{
		{"first", 0, []signin.Counter{counter("strangers", 2)}, signin.Tries{Allowed: true, Left: 1}},
		{"second", 0, []signin.Counter{counter("strangers", 2)}, signin.Tries{Allowed: true, Left: 0}},
		{"third", time.Minute, []signin.Counter{counter("strangers", 2)}, signin.Tries{Until: testkit.Noon.Add(31 * time.Minute)}},
		{"owner", 15 * time.Minute, []signin.Counter{counter("browser", 3), counter("known", 1)}, signin.Tries{Allowed: true, Left: 0}},
		{"strangers after their window", 32 * time.Minute, []signin.Counter{counter("strangers", 2)}, signin.Tries{Until: testkit.Noon.Add(45 * time.Minute)}},
		{"own counter refuses, nothing counts", 32 * time.Minute, []signin.Counter{counter("browser", 1), counter("again", 5)}, signin.Tries{Until: testkit.Noon.Add(62 * time.Minute)}},
		{"the sum leaves one", 33 * time.Minute, []signin.Counter{counter("again", 5)}, signin.Tries{Allowed: true, Left: 0}},
		{"and no more", 34 * time.Minute, []signin.Counter{counter("again", 5)}, signin.Tries{Until: testkit.Noon.Add(64 * time.Minute)}},
		{"all quiet", 64 * time.Minute, []signin.Counter{counter("known", 1)}, signin.Tries{Allowed: true, Left: 0}},
		{"strangers again", 64 * time.Minute, []signin.Counter{counter("strangers", 2)}, signin.Tries{Allowed: true, Left: 1}},
	}
	onBoth(t, func(t *testing.T, db *database) {
		for _, s := range steps {
			t.Run(s.name, func(t *testing.T) {
				at := testkit.Noon.Add(s.at)
				testkit.Must(db.PruneAttempts(t.Context(), at))(t)
				testkit.Equal(t, "tries", testkit.Must(db.TryAll(t.Context(), s.counters, sum, at))(t), s.want)
			})
		}
		if err := db.Forgive(t.Context(), "known"); err != nil {
			t.Fatal(err)
		}
		got := testkit.Must(db.TryAll(t.Context(), []signin.Counter{counter("again", 5)}, sum, testkit.Noon.Add(65*time.Minute)))(t)
		testkit.Equal(t, "after a right password", got, signin.Tries{Allowed: true, Left: 2})
	})
}

// TestA8_TriesLeft counts what a client may still try over all its counters: as many tries
// as TryAll then allows.
func TestA8_TriesLeft(t *testing.T) {
	counter := func(key string, tries int) signin.Counter {
		return signin.Counter{Key: key, Limit: signin.Limit{Tries: tries, Window: 30 * time.Minute, Rolling: true}}
	}
	known := [][]signin.Counter{{counter("browser", 2), counter("known", 4)}, {counter("strangers", 2)}}
	strangers := known[1:]
	sum := signin.Together{Keys: []string{"strangers", "known", "again"}, Tries: 3}
	tests := []struct {
		name    string
		sum     signin.Together
		choices [][]signin.Counter
		before  int // tries of strangers
		want    int
	}{
		{"stranger", signin.Together{}, strangers, 0, 2},
		{"stranger, one used", signin.Together{}, strangers, 1, 1},
		{"stranger, all used", signin.Together{}, strangers, 2, 0},
		{"known browser", signin.Together{}, known, 0, 4},
		{"known browser, strangers used theirs", signin.Together{}, known, 2, 2},
		{"known browser below a lockout", sum, known, 0, 3},
		{"known browser below a lockout, strangers used theirs", sum, known, 2, 1},
	}
	onBoth(t, func(t *testing.T, db *database) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				for _, key := range []string{"browser", "known", "strangers"} {
					testkit.NoError(t, db.Forgive(t.Context(), key))
				}
				try := func(choices [][]signin.Counter) bool {
					for _, counters := range choices {
						if testkit.Must(db.TryAll(t.Context(), counters, tt.sum, testkit.Noon))(t).Allowed {
							return true
						}
					}
					return false
				}
				for range tt.before {
					try(strangers)
				}
				left := func(most int) int {
					return testkit.Must(db.TriesLeft(t.Context(), tt.choices, tt.sum, testkit.Noon, most))(t)
				}
				testkit.Equal(t, "left", left(9), tt.want)
				testkit.Equal(t, "left, counted up to one", left(1), min(1, tt.want))
				done := 0
				for try(tt.choices) {
					done++
				}
				testkit.Equal(t, "tries that were allowed", done, tt.want)
				testkit.Equal(t, "left after them", left(9), 0)
			})
		}
	})
}

func TestForgiveGiveBackAndPrune(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		try := func() signin.Tries {
			return testkit.Must(db.Try(ctx, "anna", signin.Limit{Tries: 3, Window: time.Minute}, testkit.Noon))(t)
		}
		try()
		testkit.Equal(t, "second", try().Left, 1)
		if err := db.GiveBack(ctx, "anna"); err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "second again", try().Left, 1)
		if err := db.Forgive(ctx, "anna"); err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "after forgiving", try().Left, 2)
		testkit.Equal(t, "pruned early", testkit.Must(db.PruneAttempts(ctx, testkit.Noon.Add(59*time.Second)))(t), 0)
		testkit.Equal(t, "pruned", testkit.Must(db.PruneAttempts(ctx, testkit.Noon.Add(time.Minute)))(t), 1)
		if err := db.GiveBack(ctx, "nobody"); err != nil {
			t.Error(err)
		}
	})
}

func TestA8_ParallelTriesStayWithinLimit(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		replica := opened(t, db.address)
		var allowed atomic.Int32
		var waiting sync.WaitGroup
		for i := range 40 {
			via := signin.Store(db)
			if i%2 == 1 {
				via = replica
			}
			waiting.Go(func() {
				tries, err := via.Try(t.Context(), "anna", signin.Limit{Tries: 3, Window: time.Minute}, testkit.Noon)
				if err != nil {
					t.Error(err)
				}
				if tries.Allowed {
					allowed.Add(1)
				}
			})
		}
		waiting.Wait()
		testkit.Equal(t, "allowed", allowed.Load(), 3)
	})
}

func TestA8_ParallelTriesStayBelowTheSum(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		replica := opened(t, db.address)
		keys := []string{"strangers", "known", "again"}
		var allowed atomic.Int32
		var waiting sync.WaitGroup
		for i := range 40 {
			via := signin.Store(db)
			if i%2 == 1 {
				via = replica
			}
			waiting.Go(func() {
				counter := signin.Counter{Key: keys[i%3], Limit: signin.Limit{Tries: 4, Window: time.Minute, Rolling: true}}
				tries, err := via.TryAll(t.Context(), []signin.Counter{counter}, signin.Together{Keys: keys, Tries: 7}, testkit.Noon)
				if err != nil {
					t.Error(err)
				}
				if tries.Allowed {
					allowed.Add(1)
				}
			})
		}
		waiting.Wait()
		testkit.Equal(t, "allowed", allowed.Load(), 7)
	})
}
