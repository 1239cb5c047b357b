package app

import (
	"context"
	"net/http"
	"testing"

	"certportal/internal/test/testkit"
)

// After a signal both checks of a balancer are red and everything is served on, until the
// delay is over.
func TestF20_ReadinessIsRedBeforeThePortsClose(t *testing.T) {
	environ := onPostgres(t)
	environ["CERTPORTAL_STOP_DELAY"] = "10s"
	p := testkit.Must(openWith(t, t.TempDir(), environ))(t)
	person := employees(t, p, 1)[0]
	signal, send := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(signal) }()
	testkit.Eventually(t, "it is ready", func() bool { code, _ := p.onOps(t, "/readyz"); return code == http.StatusOK })

	send()
	for _, path := range []string{"/readyz", "/readyz/plain"} {
		testkit.Eventually(t, path+" is red", func() bool { code, _ := p.onOps(t, path); return code == http.StatusServiceUnavailable })
		_, body := p.onOps(t, path)
		testkit.Equal(t, path, body, "stopping: this server stops\n")
	}
	code, _ := p.onOps(t, "/healthz")
	testkit.Equal(t, "/healthz", code, http.StatusOK)
	testkit.Equal(t, "pages", status(t, p.client(), p.Public.HTTPS.String()+"/login"), http.StatusOK)
	testkit.Equal(t, "lists", status(t, p.client(), p.Public.HTTP.String()+"/crl/issuing.crl"), http.StatusOK)
	testkit.Must(p.enrolment(t, person, "phone"))(t)

	testkit.NoError(t, p.https.Close()) // ends the delay: a port is lost
	if err := <-ended; err == nil {
		t.Error("the lost port is no error")
	}
}

// With SQLite no other portal takes over.
func TestStopsAtOnceWithSQLite(t *testing.T) {
	p := testkit.Must(openWith(t, t.TempDir(), map[string]string{"CERTPORTAL_CA_ROOT_KEY": "ec-p256", "CERTPORTAL_CA_ISSUING_KEY": "ec-p256"}))(t)
	testkit.Equal(t, "delay", p.stopDelay(), 0)
	testkit.NoError(t, p.awaitBalancer(nil))
	testkit.Equal(t, "stopping", p.stopping.Load(), true)
}
