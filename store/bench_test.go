package store_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// benchmarkFolder is beside the sources, on a real disk: the folder for temporary
// files may be in memory.
func benchmarkFolder(b *testing.B) string {
	b.Helper()
	folder, err := os.MkdirTemp(".", "bench")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(folder) })
	return folder
}

// prepared makes the requests before the clock runs: making keys and certificates is
// not measured.
func prepared(b *testing.B) []fixture.Enrolment {
	b.Helper()
	requests := make([]fixture.Enrolment, b.N)
	for i := range requests {
		requests[i] = fixture.NewEnrolment(b, portal.PersonID(fmt.Sprint("person", i)), "iPhone")
	}
	return requests
}

// BenchmarkReserveComplete is one durable enrolment: two transactions, each on
// disk before it is acknowledged.
func BenchmarkReserveComplete(b *testing.B) {
	b.Run("single", func(b *testing.B) {
		db := opened(b, filepath.Join(benchmarkFolder(b), "portal.db"))
		requests := prepared(b)
		b.ResetTimer()
		for i := range b.N {
			requests[i].Issue(b, db)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		db := opened(b, filepath.Join(benchmarkFolder(b), "portal.db"))
		requests := prepared(b)
		var next atomic.Int64
		b.SetParallelism(4)
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				requests[next.Add(1)-1].Issue(b, db)
			}
		})
	})
}

// BenchmarkReserveSeeded is like the one above beside the records of years: in a database
// filled by "certportal seed", which it changes, named by DISPOSABLE_DATABASE.
func BenchmarkReserveSeeded(b *testing.B) {
	db := opened(b, disposable(b))
	requests := prepared(b)
	for i := range requests {
		r := &requests[i].Reservation // of people who are there from earlier runs
		r.Quota, r.Device.Name = math.MaxInt, r.Serial.String()
	}
	b.ResetTimer()
	for i := range b.N {
		requests[i].Issue(b, db)
	}
}

// BenchmarkDevices reads while another goroutine writes all the time.
func BenchmarkDevices(b *testing.B) {
	db := opened(b, filepath.Join(benchmarkFolder(b), "portal.db"))
	for i := range 5 {
		fixture.NewEnrolment(b, anna, fmt.Sprint("device", i)).Issue(b, db)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				if err := db.Note(b.Context(), fixture.NewEntry(testkit.Noon, "benchmark.noted", anna)); err != nil {
					b.Error(err)
					return
				}
			}
		}
	}()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := db.Devices(b.Context(), anna); err != nil {
				b.Error(err)
			}
		}
	})
	close(stop)
	<-stopped
}
