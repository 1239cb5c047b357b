package notify_test

import (
	"fmt"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// BenchmarkCollect measures the collector for one entry that makes a message.
func BenchmarkCollect(b *testing.B) {
	d := open(b, nil)
	for n := range b.N {
		d.note(audit.Entry{
			At: testkit.Noon, Action: audit.CertificateRevoked, Actor: "ada", Role: "admin", Person: "anna",
			Request: fmt.Sprint(n), Detail: map[string]string{"cause": "lost"},
		})
	}
	b.ResetTimer()
	for {
		more, err := d.Collect(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if !more {
			return
		}
	}
}

// BenchmarkDeliver measures the sender for one message over TLS, server included.
func BenchmarkDeliver(b *testing.B) {
	d := open(b, nil)
	for range b.N {
		d.note(d.entry(audit.InvitationMade, anna))
	}
	d.write()
	b.ResetTimer()
	d.send()
	b.ReportMetric(float64(len(d.server.Mails()))/b.Elapsed().Seconds(), "letters/s")
}

// BenchmarkIdle measures collector and sender without work.
func BenchmarkIdle(b *testing.B) {
	d := open(b, nil)
	d.issue(portal.PersonID("anna"), "iPhone", year)
	d.write()
	d.send()
	for b.Loop() {
		if _, err := d.Collect(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := d.Deliver(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
