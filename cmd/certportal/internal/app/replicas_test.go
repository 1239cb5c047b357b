package app

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/pgtest"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// replicas runs two portals on one PostgreSQL, both with the files of a CA that is pending.
func replicas(t *testing.T) (a, b *App, pending string) {
	t.Helper()
	var server pgtest.Server
	t.Cleanup(server.Stop)
	environ := fixture.FastCA()
	environ["CERTPORTAL_DATABASE"] = server.Database(t)
	environ["CERTPORTAL_CERTIFICATES_DEVICES"], environ["CERTPORTAL_CERTIFICATES_PER_HOUR"] = "1000", "100000"
	data := t.TempDir()
	a = testkit.Must(openWith(t, data, environ))(t)
	other := t.TempDir()
	testkit.NoError(t, os.CopyFS(filepath.Join(other, "ca"), os.DirFS(filepath.Join(data, "ca"))))
	chmodKeys(t, other)
	passphrase := testkit.Must(os.ReadFile(a.Settings.DefaultPassphraseFile()))(t)
	testkit.NoError(t, os.WriteFile(filepath.Join(other, filepath.Base(a.Settings.DefaultPassphraseFile())), passphrase, 0o600))
	b = testkit.Must(openWith(t, other, environ))(t)
	serveUntilEnd(t, a)
	serveUntilEnd(t, b)
	name, _ := next(t, a, time.Now())
	testkit.NoError(t, os.CopyFS(filepath.Join(other, "new"), os.DirFS(filepath.Join(data, "ca"))))
	for _, ending := range []string{".key", ".chain", ".crt"} {
		from := filepath.Join(other, "new", name+ending)
		testkit.NoError(t, os.Chmod(from, 0o600))
		testkit.NoError(t, os.Rename(from, filepath.Join(other, "ca", name+ending)))
	}
	testkit.Eventually(t, "the other replica has the next CA", func() bool { _, ok := b.CA.Line.Named(name); return ok })
	return a, b, name
}

// chmodKeys restores the modes of key files, which a copy does not have.
func chmodKeys(t *testing.T, data string) {
	t.Helper()
	for _, key := range testkit.Must(filepath.Glob(filepath.Join(data, "ca", "*.key")))(t) {
		testkit.NoError(t, os.Chmod(key, 0o600))
	}
}

// employees adds people.
func employees(t *testing.T, p *App, n int) []portal.Person {
	t.Helper()
	var list []portal.Person
	for n := range n {
		list = append(list, testkit.Must(p.Builtin.Add(t.Context(), directory.NewAccount{
			Login: fmt.Sprint("person", n), UPN: fmt.Sprintf("person%d@corp.example", n), Password: "correct horse",
		}, audit.Entry{At: p.Now(), Actor: "test"}))(t))
	}
	return list
}

// enrolment asks for the certificate of a new phone.
func (p *App) enrolment(t *testing.T, person portal.Person, phone string) (enroll.Enrolment, error) {
	t.Helper()
	return p.Registrar.Enroll(t.Context(), enroll.Request{
		By: portal.Actor{Person: person.ID}, Name: phone, Platform: portal.Android, Idempotent: string(person.ID) + phone,
	})
}

// issuerOf is the CA under which a certificate is recorded. It must be the one that signed
// it.
func (p *App) issuerOf(t *testing.T, e enroll.Enrolment) string {
	t.Helper()
	cert := p.certificate(t, e)
	recorded := testkit.Must(p.DB.Status(t.Context(), e.Serial))(t).Issuer
	if of, ok := p.CA.Line.Of(cert); !ok || recorded != of.Name || cert.CheckSignatureFrom(of.Certificate) != nil {
		t.Errorf("%s is recorded under %q and signed by %q", e.Serial, recorded, of.Name)
	}
	return recorded
}

// Two replicas on PostgreSQL change to the next CA while people enrol ten times a second:
// no enrolment fails, each certificate is recorded under the CA that signed it, and after
// the change both issue from the next one. The times are in docs/benchmarks.md.
func TestReplicasChangeUnderLoad(t *testing.T) {
	a, b, name := replicas(t)
	people := employees(t, a, 5)
	enrolments := testkit.Times(t, 60)
	var mu sync.Mutex
	var working sync.WaitGroup
	var times []time.Duration
	issuers := map[string]int{}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := range enrolments {
		<-tick.C
		working.Go(func() {
			p, start := []*App{a, b}[n%2], time.Now()
			e, err := p.enrolment(t, people[n/2%len(people)], fmt.Sprint("phone ", n))
			took := time.Since(start)
			if err != nil {
				t.Errorf("enrolment %d: %v", n, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			times = append(times, took)
			issuers[p.issuerOf(t, e)]++
		})
		if n == enrolments/2 {
			activate(t, a, name)
		}
	}
	working.Wait()
	if issuers["issuing"] < enrolments/4 || issuers[name] < enrolments/4 {
		t.Errorf("issued by %v, want about half by each", issuers)
	}
	for n, p := range []*App{a, b} {
		e := testkit.Must(p.enrolment(t, people[n], "afterwards"))(t)
		testkit.Equal(t, fmt.Sprint("replica ", n, " issues from"), p.issuerOf(t, e), name)
	}
	slices.Sort(times)
	t.Logf("%d enrolments: p50 %s, p99 %s, longest %s; by %v", len(times), times[len(times)/2], times[len(times)*99/100], times[len(times)-1], issuers)
}
