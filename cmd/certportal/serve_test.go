package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

func TestFirstAdministratorIsPrintedOnce(t *testing.T) {
	p, err := openApp(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	i := &invocation{cli: &commands{}, io: streams{out: &out, err: io.Discard}}
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

// Of first starts at the same time one adds the administrator and prints the password; the
// others start too.
func TestF18_FirstAdministratorOfStartsAtOnce(t *testing.T) {
	p := testkit.Must(openApp(t, t.TempDir()))(t)
	outputs, errs := make([]strings.Builder, 4), make([]error, 4)
	var starting sync.WaitGroup
	for n := range outputs {
		i := &invocation{cli: &commands{}, io: streams{out: &outputs[n], err: io.Discard}}
		starting.Go(func() { errs[n] = firstAdministrator(t.Context(), p, i) })
	}
	starting.Wait()
	testkit.NoError(t, errors.Join(errs...))
	printed := 0
	for n := range outputs {
		printed += strings.Count(outputs[n].String(), "password ")
	}
	testkit.Equal(t, "passwords printed", printed, 1)
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
	if _, err := openApp(t, data); err == nil || !strings.Contains(err.Error(), "or restore it from a backup") {
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
