package enroll_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

const (
	flooders       = 4 // accounts whose requests are refused
	handsEach      = 8 // connections of each
	floodEnrolment = 60
)

// BenchmarkBesideRefused enrols one person, alone and beside a flood of requests by four
// others that are refused: their device's name is taken. It reports the median of both
// and their ratio, and how many requests of the flood were refused in a second.
func BenchmarkBesideRefused(b *testing.B) {
	for b.Loop() {
		r, pool := benchPortal(b, ca.ECP256, ca.RSA2048, floodEnrolment)
		for i := range flooders {
			enrolAs(b, r, i, "phone", "first")
		}
		fillPool(b, pool, floodEnrolment)
		alone := medianEnrolment(b, r, "alone")
		fillPool(b, pool, floodEnrolment)
		refused, stop := flood(b, r)
		begin := time.Now()
		beside := medianEnrolment(b, r, "beside")
		perSecond := float64(refused.Load()) / time.Since(begin).Seconds()
		stop()
		b.ReportMetric(float64(alone.Microseconds())/1000, "ms-alone")
		b.ReportMetric(float64(beside.Microseconds())/1000, "ms-beside")
		b.ReportMetric(float64(beside)/float64(alone), "ratio")
		b.ReportMetric(perSecond, "refused/s")
		b.ReportMetric(float64(floodEnrolment-pool.Ready())/floodEnrolment, "keys/enrolment")
	}
}

// fillPool has a pool make its keys, before the time that counts.
func fillPool(b *testing.B, pool *enroll.KeyPool, ready int) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { defer close(done); pool.Run(ctx) }()
	for pool.Ready() < ready {
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	<-done
}

// medianEnrolment enrols people who are not among the flood, one after the other.
func medianEnrolment(b *testing.B, r *enroll.Registrar, form string) time.Duration {
	b.Helper()
	var all []time.Duration
	for n := range floodEnrolment {
		begin := time.Now()
		enrolAs(b, r, flooders+n, form, form)
		all = append(all, time.Since(begin))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func enrolAs(b *testing.B, r *enroll.Registrar, person int, name, form string) {
	b.Helper()
	if _, err := r.Enroll(b.Context(), floodRequest(person, name, form)); err != nil {
		b.Fatal(err)
	}
}

func floodRequest(person int, name, form string) enroll.Request {
	return enroll.Request{
		By: portal.Actor{Person: portal.PersonID(fmt.Sprint("person", person))}, Name: name, Platform: portal.Android, Idempotent: form,
	}
}

// flood sends requests without pause until stop is called.
func flood(b *testing.B, r *enroll.Registrar) (refused *atomic.Int64, stop func()) {
	ctx, cancel := context.WithCancel(b.Context())
	refused = new(atomic.Int64)
	var all sync.WaitGroup
	for hand := range flooders * handsEach {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, err := r.Enroll(ctx, floodRequest(hand%flooders, "PHONE", fmt.Sprint("flood ", hand, n)))
				if err == nil {
					b.Error("a request of the flood was not refused")
					return
				}
				refused.Add(1)
			}
		})
	}
	return refused, func() { cancel(); all.Wait() }
}
