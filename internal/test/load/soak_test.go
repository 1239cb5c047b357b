package load_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/internal/test/load"
	"certportal/internal/test/testkit"
)

// use is what the program uses of the machine.
type use struct{ residentKB, goroutines, files float64 }

// Enrolments once a second beside 100 questions by OCSP, for six minutes times the number of
// "scripts/test long". After the first tenth, memory, goroutines and open files do not grow.
func TestL8_Soak(t *testing.T) {
	long(t)
	const people = 60
	length := 6 * time.Minute * time.Duration(testkit.Times(t, 1))
	p := startPortal(t, withPeople(t, people)...)
	browsers := p.signedIn(people)
	q := p.questions(testkit.Must(browsers[0].Enrol(t.Context(), "First phone"))(t).Leaf)
	stop := q.keep(t, 100)
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var took load.Times
	var failed atomic.Int64
	var watching sync.WaitGroup
	watching.Go(func() { p.watchUse(ctx, t, length/30) })
	defer watching.Wait()
	before := make(chan use, 1)
	go func() { // after the first tenth
		timer := time.NewTimer(length / 10)
		defer timer.Stop()
		<-timer.C
		before <- p.usual(ctx)
	}()
	load.Pace(ctx, 1, 0, func(i int) {
		began := time.Now()
		if _, err := browsers[i%people].Enrol(t.Context(), fmt.Sprint("Phone ", i)); err != nil {
			if failed.Add(1) <= 5 {
				t.Errorf("enrolment %d: %v", i, err)
			}
			return
		}
		took.Since(began)
	})
	from, to := <-before, p.usual(t.Context())
	stop()
	t.Logf("%d enrolments with their files, %d failed, p50 %.0f ms, p99 %.0f ms; %d OCSP answers, %d failed, p50 %.1f ms, p99 %.1f ms",
		took.Count(), failed.Load(), took.Percentile(50), took.Percentile(99), q.took.Count(), q.failed.Load(), q.took.Percentile(50), q.took.Percentile(99))
	t.Logf("before %+v, after %+v", from, to)
	for _, bar := range []struct {
		what           string
		before, after  float64
		share, further float64
	}{
		{"resident memory", from.residentKB, to.residentKB, 0.1, 0},
		{"goroutines", from.goroutines, to.goroutines, 0, 20},
		{"open files", from.files, to.files, 0, 10},
	} {
		if bar.after > bar.before*(1+bar.share)+bar.further {
			t.Errorf("%s grew from %.0f to %.0f", bar.what, bar.before, bar.after)
		}
	}
	p.settled(p.sqlite())
}

// usual is the median of what the program uses over 30 s.
func (p *portal) usual(ctx context.Context) use {
	var kb, goroutines, files []float64
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for range 30 {
		u := p.use()
		kb, goroutines, files = append(kb, u.residentKB), append(goroutines, u.goroutines), append(files, u.files)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	median := func(list []float64) float64 { slices.Sort(list); return list[len(list)/2] }
	return use{median(kb), median(goroutines), median(files)}
}

var resident = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// use reads memory and open files from /proc, and goroutines from the metrics.
func (p *portal) use() use {
	var u use
	u.goroutines, _ = p.metric("go_goroutines")
	folder := fmt.Sprint("/proc/", p.running.Pid())
	status, err := os.ReadFile(filepath.Join(folder, "status"))
	if found := resident.FindSubmatch(status); err == nil && found != nil {
		u.residentKB, _ = strconv.ParseFloat(string(found[1]), 64)
	}
	files, err := os.ReadDir(filepath.Join(folder, "fd"))
	if err == nil {
		u.files = float64(len(files))
	}
	return u
}

// watchUse logs what the program uses, from time to time.
func (p *portal) watchUse(ctx context.Context, t testing.TB, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.Logf("%+v", p.use())
		}
	}
}
