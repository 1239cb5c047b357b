package store_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"certportal/ca"
	"certportal/enroll"
	"certportal/revocation"
)

// list is a build function that signs nothing.
func list(issuer string, seen *[]ca.Revocation) func(int64, []ca.Revocation) (revocation.List, error) {
	return func(number int64, revoked []ca.Revocation) (revocation.List, error) {
		if seen != nil {
			*seen = revoked
		}
		return revocation.List{
			Issuer: issuer, Number: number, ThisUpdate: noon, NextUpdate: noon.Add(72 * time.Hour), DER: []byte{byte(number)},
		}, nil
	}
}

func publish(t *testing.T, db revocation.Lists, now time.Time) (revocation.List, []ca.Revocation) {
	t.Helper()
	var seen []ca.Revocation
	return must[revocation.List](t)(db.Publish(t.Context(), "issuing", now, list("issuing", &seen))), seen
}

func TestPublish(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		_, found, err := db.Latest(ctx, "issuing")
		if found || err != nil {
			t.Fatalf("list before the first: got %v, %v", found, err)
		}
		issue(t, db, request(t, anna, "works"))
		replaced, abandoned := issue(t, db, request(t, anna, "iPhone")), reserve(t, db, request(t, anna, "iPad"))
		revoke(t, db, enroll.Replaced, noon, replaced.serial())
		revoke(t, db, enroll.Abandoned, noon.Add(time.Minute), abandoned.serial())

		first, revoked := publish(t, db, noon)
		equal(t, "first number", first.Number, noon.UnixMilli())
		want := []ca.Revocation{
			{Serial: replaced.serial(), At: noon, Reason: 4},
			{Serial: abandoned.serial(), At: noon.Add(time.Minute), Reason: 5},
		}
		byTime := func(a, b ca.Revocation) int { return a.At.Compare(b.At) }
		equal(t, "revoked", slices.Equal(slices.SortedFunc(slices.Values(revoked), byTime), want), true)

		second, _ := publish(t, db, noon.Add(-time.Hour))
		equal(t, "number with the clock behind", second.Number, first.Number+1)
		third, _ := publish(t, db, noon.Add(time.Hour))
		equal(t, "number with the clock ahead", third.Number, noon.Add(time.Hour).UnixMilli())
		latest, found, err := db.Latest(ctx, "issuing")
		if !found || err != nil {
			t.Fatalf("newest list: got %v, %v", found, err)
		}
		equal(t, "newest", latest.Number, third.Number)
		equal(t, "this update", latest.ThisUpdate, noon)
		equal(t, "next update", latest.NextUpdate, noon.Add(72*time.Hour))
		sameBytes(t, "DER", latest.DER, third.DER)
		var ofRoot []ca.Revocation
		root := must[revocation.List](t)(db.Publish(ctx, "root", noon, list("root", &ofRoot)))
		equal(t, "root's number", root.Number, noon.UnixMilli())
		equal(t, "root's entries", len(ofRoot), 0)
	})
}

func TestA12_RevokedStayListedUntilAfterTheirEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		e := issue(t, db, request(t, anna, "iPhone"))
		revoke(t, db, enroll.Removed, noon, e.serial())
		const day = 24 * time.Hour
		for _, c := range []struct {
			name string
			at   time.Duration
			want int
		}{
			{"before the end", 364 * day, 1}, {"within the grace", 394 * day, 1}, {"after the grace", 396 * day, 0},
		} {
			_, revoked := publish(t, db, noon.Add(c.at))
			equal(t, c.name, len(revoked), c.want)
		}
	})
}

func TestPublishIsAllOrNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		first, _ := publish(t, db, noon)
		locked := errors.New("key is locked")
		_, err := db.Publish(ctx, "issuing", noon, func(int64, []ca.Revocation) (revocation.List, error) {
			return revocation.List{}, locked
		})
		wantError(t, "failing build", err, locked)
		if _, err := db.Publish(ctx, "issuing", noon, list("root", nil)); err == nil {
			t.Error("list of another issuer was stored")
		}
		second, _ := publish(t, db, noon)
		equal(t, "number after failures", second.Number, first.Number+1)
	})
}

func TestF9_ParallelPublishersNeverShareANumber(t *testing.T) {
	const publishers, rounds = 4, 10
	onBoth(t, func(t *testing.T, db *fixture) {
		replica := opened(t, db.address)
		numbers := make(chan int64, publishers*rounds)
		var waiting sync.WaitGroup
		for i := range publishers {
			via := revocation.Lists(db)
			if i%2 == 1 {
				via = replica
			}
			waiting.Go(func() {
				last := int64(0)
				for range rounds {
					published, err := via.Publish(t.Context(), "issuing", noon, list("issuing", nil))
					if err != nil {
						t.Error(err)
						return
					}
					if published.Number <= last {
						t.Errorf("number %d after %d", published.Number, last)
					}
					last = published.Number
					numbers <- last
				}
			})
		}
		waiting.Wait()
		close(numbers)
		seen := make(map[int64]bool)
		for n := range numbers {
			seen[n] = true
		}
		equal(t, "different numbers", len(seen), publishers*rounds)
	})
}

// A transaction that waits for another one ends with its context.
func TestWaitingEndsWithTheContext(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		holding, release, done := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			_, err := db.Publish(t.Context(), "issuing", noon, func(n int64, r []ca.Revocation) (revocation.List, error) {
				close(holding)
				<-release
				return list("issuing", nil)(n, r)
			})
			done <- err
		}()
		<-holding
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		_, err := db.Publish(ctx, "issuing", noon, list("issuing", nil))
		wantError(t, "waiting", err, context.Canceled)
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
		next, _ := publish(t, db, noon)
		equal(t, "number", next.Number, noon.UnixMilli()+1)
	})
}

func TestUnlisted(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		unlisted := func(issuer string) bool { return must[bool](t)(db.Unlisted(t.Context(), issuer)) }
		equal(t, "nothing revoked", unlisted("issuing"), false)
		e := issue(t, db, request(t, anna, "iPhone"))
		revoke(t, db, enroll.Removed, noon, e.serial())
		equal(t, "revoked", unlisted("issuing"), true)
		equal(t, "other issuer", unlisted("root"), false)
		publish(t, db, noon.Add(-time.Hour))
		equal(t, "listed, whatever the clock said", unlisted("issuing"), false)
	})
}
