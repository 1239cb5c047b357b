package autotls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"testing/synctest"
	"time"

	"certportal/internal/test/testkit"
)

// TestPrefer compares a stored certificate with the one in use. Times are in days; now is 0.
func TestPrefer(t *testing.T) {
	now := testkit.Noon
	pair := func(days [2]int) *tls.Certificate {
		if days == [2]int{} {
			return nil
		}
		return &tls.Certificate{Leaf: &x509.Certificate{NotBefore: now.AddDate(0, 0, days[0]), NotAfter: now.AddDate(0, 0, days[1])}}
	}
	for _, c := range []struct {
		what            string
		stored, current [2]int
		want            bool
	}{
		{"none in use", [2]int{-1, 89}, [2]int{}, true},
		{"renewed by another replica", [2]int{-1, 89}, [2]int{-61, 29}, true},
		{"the one in use has ended", [2]int{-61, 29}, [2]int{-99, -9}, true},
		{"ends with the one in use", [2]int{-1, 89}, [2]int{-1, 89}, true},
		{"older", [2]int{-61, 29}, [2]int{-1, 89}, false},
		{"older, neither is due", [2]int{-2, 88}, [2]int{-1, 89}, false},
		{"older, both are due", [2]int{-80, 10}, [2]int{-70, 20}, false},
		{"has ended", [2]int{-99, -9}, [2]int{-1, 89}, false},
		{"has ended, none in use", [2]int{-99, -9}, [2]int{}, false},
		{"ends now", [2]int{-90, 0}, [2]int{}, false},
		{"begins tomorrow", [2]int{1, 91}, [2]int{-61, 29}, false},
		{"renewed for a shorter time", [2]int{-1, 6}, [2]int{-70, 20}, true},
	} {
		err := prefer(pair(c.stored), pair(c.current), now)
		if (err == nil) != c.want {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// TestOutlive: what is recorded at the end has some seconds in all, and as long as it needs
// before.
func TestOutlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		longer, done := outlive(ctx, stopWithin)
		defer done()
		<-time.After(time.Hour)
		testkit.NoError(t, longer.Err())
		cancel()
		start := time.Now()
		<-longer.Done()
		testkit.Equal(t, "time left", time.Since(start), stopWithin)

		other, finish := outlive(ctx, stopWithin)
		testkit.NoError(t, other.Err())
		finish()
		testkit.Equal(t, "afterwards", other.Err(), context.Canceled)
	})
}
