package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/portal"
)

func TestFirstAdministratorIsPrintedOnce(t *testing.T) {
	p, err := openApp(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	i := &invocation{io: streams{out: &out, err: io.Discard}}
	for range 2 {
		if err := firstAdministrator(t.Context(), p, i); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := strings.Count(out.String(), "password "), 1; got != want {
		t.Errorf("%d passwords printed, want %d:\n%s", got, want, out.String())
	}
	_, rest, _ := strings.Cut(out.String(), "password ")
	password, _, _ := strings.Cut(rest, "\n")
	person, err := p.Builtin.Authenticate(t.Context(), "admin", password)
	if err != nil || !person.Has(portal.Admin) {
		t.Errorf("signing in with the printed password: %+v, %v", person, err)
	}
}

// A lost CA folder beside records that know a CA must not be filled with a new
// CA: everything issued so far would fail.
func TestLostCAFolderStopsTheStart(t *testing.T) {
	data := t.TempDir()
	p, err := openApp(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(data, "ca"), filepath.Join(data, "lost")); err != nil {
		t.Fatal(err)
	}
	if _, err := openApp(t, data); err == nil || !strings.Contains(err.Error(), "restore them from a backup") {
		t.Errorf("start without the folder: %v", err)
	}
	if r := certportal(t, "", "--data", data, "ca", "init"); r.code != exitFailed || !strings.Contains(r.err, "nothing was created") {
		t.Errorf("ca init without the folder: exit %d, %s", r.code, r.err)
	}
	if err := os.Rename(filepath.Join(data, "lost"), filepath.Join(data, "ca")); err != nil {
		t.Fatal(err)
	}
	if _, err := openApp(t, data); err != nil {
		t.Errorf("start with the folder again: %v", err)
	}
}
