package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/test/testkit"
)

// TestCAInitBesideAStart: a portal that starts makes a CA too, so ca init has its lock.
func TestCAInitBesideAStart(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	s := config.Defaults()
	s.Data = data
	testkit.NoError(t, os.Mkdir(data, 0o700))
	lock := testkit.Must(app.LockData(&s))(t)
	r := certportal(t, "", "ca", "init", "--data", data)
	if r.code != exitFailed || !strings.Contains(r.err, "runs on "+data+": stop it, then give this command again") {
		t.Errorf("beside a start: exit %d, %s", r.code, r.err)
	}
	testkit.NoError(t, lock.Close())
	testkit.Contains(t, "afterwards", mustRun(t, "ca", "init", "--data", data), "CA created in ")
}
