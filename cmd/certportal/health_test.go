package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"certportal/internal/test/testkit"
)

// TestHealth asks a portal that is well, one that is not, one that starts, and none.
func TestHealth(t *testing.T) {
	answers := map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(answers[r.URL.Path]) }))
	address := strings.TrimPrefix(server.URL, "http://")
	text := string(testkit.Must(os.ReadFile(writeSettings(t, "")))(t))
	edit := func(ops string) string {
		return writeFile(t, t.TempDir(), "certportal.yml", strings.Replace(text, "listen_ops: 127.0.0.1:0", "listen_ops: "+ops, 1))
	}
	well := edit(address)
	if r := certportal(t, "", "health", "--config", well); r.code != exitDone {
		t.Errorf("well: exit %d\n%s", r.code, r.err)
	}
	if r := certportal(t, "", "health", "--ready", "--config", well); r.code != exitFailed || !strings.Contains(r.err, "503") {
		t.Errorf("not ready: exit %d\n%s", r.code, r.err)
	}
	tries := 0
	starting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if tries++; tries < 3 { // the questions come one after the other
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer starting.Close()
	starts := edit(strings.TrimPrefix(starting.URL, "http://"))
	if r := certportal(t, "", "health", "--ready", "--wait", "10m", "--config", starts); r.code != exitDone {
		t.Errorf("ready at the third question: exit %d\n%s", r.code, r.err)
	}
	if r := certportal(t, "", "health", "--wait", "10h", "--config", edit(`""`)); r.code != exitFailed {
		t.Errorf("waiting without an address: exit %d", r.code)
	}
	server.Close()
	if r := certportal(t, "", "health", "--config", well); r.code != exitFailed {
		t.Errorf("no portal: exit %d\n%s", r.code, r.err)
	}
	if r := certportal(t, "", "health", "--config", edit(`""`)); r.code != exitFailed || !strings.Contains(r.err, "listen_ops is not set") {
		t.Errorf("no address: exit %d\n%s", r.code, r.err)
	}
}
