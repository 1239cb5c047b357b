package load_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"certportal/internal/test/load"
	"certportal/internal/test/testkit"
)

// BenchmarkBackup backs a portal up, over a copy of the SQLite file that "certportal seed" filled
// and SEEDED_DATABASE names, while people enrol five times a second. It reports the seconds of a
// backup, and enrolments beside it and without it, in turn: their medians and the ratio of these.
func BenchmarkBackup(b *testing.B) {
	seeded := os.Getenv("SEEDED_DATABASE")
	if seeded == "" {
		b.Skip("SEEDED_DATABASE names no database filled by certportal seed")
	}
	const people, pairs = 30, 3
	data := b.TempDir()
	copyFile(b, seeded, filepath.Join(data, "portal.db"))
	p := startPortal(b, append(withPeople(b, people), "CERTPORTAL_DATA="+data,
		"CERTPORTAL_CA_ROOT_KEY=ec-p256", "CERTPORTAL_CA_ISSUING_KEY=ec-p256", "CERTPORTAL_CERTIFICATES_KEY=ec-p256")...)
	p.data = data
	browsers := p.signedIn(people)
	secret := filepath.Join(b.TempDir(), "passphrase")
	testkit.NoError(b, os.WriteFile(secret, []byte("a passphrase of four words\n"), 0o600))
	for b.Loop() {
		var beside, alone rush
		var took time.Duration
		for n := range pairs {
			target := filepath.Join(b.TempDir(), fmt.Sprint("backup", n))
			began := time.Now()
			p.during(browsers, &beside, func() {
				if out, err := p.command("backup", "--to", target, "--passphrase-file", secret).CombinedOutput(); err != nil {
					b.Errorf("backup: %v\n%s", err, out)
				}
			})
			last := time.Since(began)
			took += last
			testkit.NoError(b, os.Remove(target))
			p.during(browsers, &alone, func() { <-time.NewTimer(last).C })
		}
		beside.noFailures(b)
		alone.noFailures(b)
		b.ReportMetric(took.Seconds()/pairs, "s-backup")
		b.ReportMetric(beside.accepted.Percentile(50), "ms-p50-beside")
		b.ReportMetric(alone.accepted.Percentile(50), "ms-p50-alone")
		b.ReportMetric(beside.accepted.Percentile(50)/alone.accepted.Percentile(50), "ratio-p50")
		b.ReportMetric(beside.accepted.Percentile(95), "ms-p95-beside")
		b.ReportMetric(alone.accepted.Percentile(95), "ms-p95-alone")
		b.ReportMetric(float64(beside.refused.Count()+alone.refused.Count()), "refused")
	}
}

// during lets people enrol five times a second until do returns.
func (p *portal) during(browsers []*load.Browser, r *rush, do func()) {
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); r.offer(ctx, browsers, 5, 0) }()
	do()
	cancel()
	<-ended
}

// copyFile copies a file, which may be large.
func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in := testkit.Must(os.Open(from))(t)
	defer in.Close()
	out := testkit.Must(os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600))(t)
	defer out.Close()
	testkit.Must(io.Copy(out, in))(t)
}
