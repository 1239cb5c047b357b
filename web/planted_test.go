package web_test

import (
	"database/sql"
	"net/http"
	"strings"
	"testing"
	"time"

	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/web"
)

// sql changes rows as an administrator of the database does.
func (p *testPortal) sql(statement string, args ...any) {
	p.t.Helper()
	plain := testkit.Must(sql.Open("sqlite", "file://"+p.file+"?_pragma=busy_timeout(5000)"))(p.t)
	defer plain.Close()
	changed := testkit.Must(plain.ExecContext(p.t.Context(), statement, args...))(p.t)
	if n := testkit.Must(changed.RowsAffected())(p.t); n == 0 {
		p.t.Fatalf("%s: no row", statement)
	}
}

// TestA9_PlantedSession writes a session as the program itself would, with every column
// right, but without the secret of the installation.
func TestA9_PlantedSession(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	ours := p.config.Secret
	for name, secret := range map[string]portal.Secret{"another secret": {9}, "the right secret": ours} {
		p.reopen(func(c *web.Config) { c.Secret = secret })
		planted := p.signedIn("hedi", iPhone)
		p.reopen(func(c *web.Config) { c.Secret = ours })
		got := planted.get("/helpdesk")
		if valid := got.status == http.StatusOK; valid != (secret == ours) {
			t.Errorf("%s: got %d to %q", name, got.status, got.location())
		}
		if secret != ours && got.location() != "/login?next=%2Fhelpdesk" {
			t.Errorf("%s: got %d to %q, want the sign-in page", name, got.status, got.location())
		}
	}
}

// TestA9_AlteredSession changes what the database can change of a row.
func TestA9_AlteredSession(t *testing.T) {
	t.Parallel()
	far := testkit.Noon.Add(1000 * time.Hour).UnixMilli()
	tests := []struct {
		name  string
		after time.Duration
		alter func(p *testPortal)
		want  int
	}{
		{"unchanged", time.Minute, func(*testPortal) {}, http.StatusOK},
		{"another person in the row", time.Minute, func(p *testPortal) {
			p.sql("UPDATE sessions SET person = 'id-of-hedi'")
		}, http.StatusOK}, // who it is comes from the sealed values
		{"longer than it may last", 9 * time.Hour, func(p *testPortal) {
			p.sql("UPDATE sessions SET expires_at = ?, touched_at = ?", far, far)
		}, http.StatusSeeOther},
		{"values of another session", time.Minute, func(p *testPortal) {
			p.signedIn("hedi", iPhone)
			p.sql("UPDATE sessions SET data = (SELECT data FROM sessions WHERE person = 'id-of-hedi')")
		}, http.StatusSeeOther},
		{"other values", time.Minute, func(p *testPortal) {
			p.sql("UPDATE sessions SET data = ?", []byte(`{"person":"id-of-hedi"}`))
		}, http.StatusSeeOther},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPortal(t)
			anna := p.signedIn("anna", iPhone)
			tt.alter(p)
			p.clock.Advance(tt.after)
			got := anna.get("/")
			if got.status != tt.want || strings.Contains(got.text(), "Hedi") {
				t.Errorf("got %d to %q, want %d: %s", got.status, got.location(), tt.want, got.text())
			}
		})
	}
}

// TestA9_CookieOfAnotherInstallation: a cookie that is not of this installation is
// discarded at the next sign-in, and does not become its session.
func TestA9_CookieOfAnotherInstallation(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	anna := p.signedIn("anna", iPhone)
	before := anna.cookie(sessionCookie)
	p.reopen(func(c *web.Config) { c.Secret = portal.Secret{9} })
	if got := anna.get("/"); got.status != http.StatusSeeOther || got.location() != "/login" {
		t.Errorf("got %d to %q, want the sign-in page", got.status, got.location())
	}
	if got := anna.post("/login", "username", "anna", "password", password); got.status != http.StatusSeeOther {
		t.Fatalf("signing in again: got %d: %s", got.status, got.text())
	}
	if got := anna.get("/"); got.status != http.StatusOK || anna.cookie(sessionCookie) == before {
		t.Errorf("after signing in again: got %d, same cookie %v", got.status, anna.cookie(sessionCookie) == before)
	}
}

// TestNoPagesWithoutSecret: a missing secret must not become a known one.
func TestNoPagesWithoutSecret(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	c := p.config
	c.Secret = portal.Secret{}
	if _, err := web.New(c); err == nil {
		t.Error("the server starts without a secret")
	}
}
