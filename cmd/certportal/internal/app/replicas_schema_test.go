package app

import (
	"database/sql"
	"errors"
	"net/http"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/store"
)

// A portal that runs while a newer one moves the schema on writes nothing more and says so:
// in readiness, alerts and checks. Lists are served on.
func TestF18_RunningOlderReplicaStopsWriting(t *testing.T) {
	environ := onPostgres(t)
	p := testkit.Must(openWith(t, t.TempDir(), environ))(t)
	serveUntilEnd(t, p)
	person := employees(t, p, 1)[0]
	testkit.Must(p.enrolment(t, person, "before"))(t)
	plain := testkit.Must(sql.Open("pgx", environ["CERTPORTAL_DATABASE"]))(t)
	defer plain.Close()
	testkit.Must(plain.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)"))(t)

	testkit.Eventually(t, "it notices by itself", func() bool { return errors.Is(p.DB.Stopped(), store.ErrSchemaNewer) })
	_, err := p.enrolment(t, person, "after")
	var outage *portal.Outage
	if !errors.As(err, &outage) || !errors.Is(err, store.ErrSchemaNewer) {
		t.Errorf("enrolling: %v", err)
	}
	testkit.Eventually(t, "readiness is red", func() bool { code, _ := p.onOps(t, "/readyz"); return code == http.StatusServiceUnavailable })
	_, body := p.onOps(t, "/readyz")
	testkit.Contains(t, "readiness", body, "database schema is newer than this program: found version 99999")
	if !p.hasAlert(t, "schema-newer") {
		t.Error("there is no alert")
	}
	for _, c := range p.doctor.Checks() {
		if c.Name == "database" {
			testkit.Contains(t, "the check", c.Run(t.Context())[0].Text, "newer than this program")
		}
	}
	testkit.Equal(t, "list", status(t, p.client(), p.Public.HTTP.String()+"/crl/issuing.crl"), http.StatusOK)
}

// A portal that runs while its records are moved to another database says so.
func TestF17_RunningPortalNoticesThatItsRecordsMoved(t *testing.T) {
	environ := onPostgres(t)
	p := testkit.Must(openWith(t, t.TempDir(), environ))(t)
	serveUntilEnd(t, p)
	plain := testkit.Must(sql.Open("pgx", environ["CERTPORTAL_DATABASE"]))(t)
	defer plain.Close()
	testkit.Must(plain.ExecContext(t.Context(), // as the end of a move leaves it
		"CREATE TRIGGER moved_away BEFORE UPDATE ON ledger_head FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('moved')"))(t)
	testkit.Eventually(t, "it notices by itself", func() bool { return errors.Is(p.DB.Stopped(), store.ErrMoved) })
	testkit.Eventually(t, "readiness is red", func() bool { code, _ := p.onOps(t, "/readyz"); return code == http.StatusServiceUnavailable })
	_, body := p.onOps(t, "/readyz")
	testkit.Contains(t, "readiness", body, "the records of this database were moved to another one")
	if !p.hasAlert(t, "records-moved") {
		t.Error("there is no alert")
	}
	testkit.Equal(t, "list", status(t, p.client(), p.Public.HTTP.String()+"/crl/issuing.crl"), http.StatusOK)
}

// A wrong passphrase on a new replica seals it: it starts, serves lists, and issues nothing.
func TestWrongPassphraseSealsANewReplica(t *testing.T) {
	environ := onPostgres(t)
	data, other := t.TempDir(), t.TempDir()
	testkit.Must(openWith(t, data, environ))(t)
	copyCA(t, data, other)
	testkit.NoError(t, config.WriteSecret(other+"/wrong", []byte("not the passphrase")))
	environ["CERTPORTAL_CA_PASSPHRASE_FILE"] = other + "/wrong"
	p := testkit.Must(openWith(t, other, environ))(t)
	serveUntilEnd(t, p)
	if p.CA.Sealed == nil {
		t.Fatal("the CA is open")
	}
	testkit.Equal(t, "temporary TLS certificate", p.tls.temporary.Load(), true)
	testkit.Equal(t, "list", status(t, p.client(), p.Public.HTTP.String()+"/crl/issuing.crl"), http.StatusOK)
	code, body := p.onOps(t, "/readyz")
	testkit.Equal(t, "readiness", code, http.StatusServiceUnavailable)
	testkit.Contains(t, "readiness", body, "ca: the CA is sealed")
	code, body = p.onOps(t, "/readyz/plain") // its online answers are tryLater; others have better ones
	testkit.Equal(t, "readiness for plain http", code, http.StatusServiceUnavailable)
	testkit.Contains(t, "readiness for plain http", body, "ocsp: nobody signs online answers")
}
