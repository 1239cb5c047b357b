package crl_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
)

// inFolder reads a list from a folder.
func inFolder(t *testing.T, o *fixture, folder, name, issuer string) *ca.PublishedCRL {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	crl, err := ca.ReadCRL(raw, o.signers()[issuer])
	if err != nil {
		t.Fatal(err)
	}
	return crl
}

// intoFolder copies the lists of a fixture into a folder.
func intoFolder(t *testing.T) (*fixture, *crl.Folder) {
	t.Helper()
	folder := &crl.Folder{Path: t.TempDir()}
	o := newFixture(t, withDeltas, func(c *crl.Config) { c.Targets = []crl.Target{folder} })
	folder.Signers = o.signers
	return o, folder
}

func TestFolderHoldsTheLists(t *testing.T) {
	o, folder := intoFolder(t)
	o.refresh()
	o.refresh()
	if err := o.Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(folder.Path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("%s: mode %v, %v, want 0644", e.Name(), info.Mode(), err)
		}
	}
	if got, want := strings.Join(names, " "), "issuing-delta.crl issuing.crl root.crl"; got != want {
		t.Errorf("files %s, want %s", got, want)
	}
	for _, h := range o.Health() {
		if len(h.Targets) != 1 || h.Targets[0].Number != h.List.Number || h.Targets[0].Trouble != "" || h.Targets[0].Name != folder.Path {
			t.Errorf("targets of %s: %+v, want list %d", h.Issuer, h.Targets, h.List.Number)
		}
	}
}

// TestF9_FolderNeverGoesBack puts a list where there is a newer one, an older one, a list
// of another CA or half a list.
func TestF9_FolderNeverGoesBack(t *testing.T) {
	o, folder := intoFolder(t)
	o.refresh()
	older := *held(t, o, "issuing")
	o.pass(time.Second)
	newer, err := o.PublishNow(t.Context(), "issuing")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder.Path, "issuing.crl")
	foreign := newFixture(t)
	foreign.pass(365 * 24 * time.Hour)
	foreign.refresh()
	for _, tt := range []struct {
		name  string
		there []byte
		put   crl.List
		want  int64
	}{
		{"nothing there", nil, older, older.Number},
		{"older there", older.DER, newer, newer.Number},
		{"newer there", newer.DER, older, newer.Number},
		{"half a list there", newer.DER[:len(newer.DER)/2], older, older.Number},
		{"another CA's there", held(t, foreign, "issuing").DER, older, older.Number},
		{"something else there", []byte("<html>"), older, older.Number},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_ = os.Remove(file)
			if tt.there != nil {
				if err := os.WriteFile(file, tt.there, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := folder.Put(t.Context(), tt.put)
			if err != nil || got != tt.want {
				t.Errorf("Put: %d, %v, want %d", got, err, tt.want)
			}
			if n := inFolder(t, o, folder.Path, "issuing.crl", "issuing").Number.Big().Int64(); n != tt.want {
				t.Errorf("list %d there, want %d", n, tt.want)
			}
		})
	}
}

// Temporary files of a killed portal are deleted; recent ones, which another portal may be
// writing, stay.
func TestFolderIsSwept(t *testing.T) {
	o, folder := intoFolder(t)
	o.refresh()
	old, fresh := filepath.Join(folder.Path, ".certportal-issuing-1"), filepath.Join(folder.Path, ".certportal-issuing-2")
	for _, file := range []string{old, fresh} {
		if err := os.WriteFile(file, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := o.Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an abandoned file stays: %v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("a file that is being written is gone: %v", err)
	}
}

// An error of a target is logged once and retried, and stops nothing else.
func TestTargetThatFails(t *testing.T) {
	o, folder := intoFolder(t)
	path := folder.Path
	folder.Path = filepath.Join(path, "not mounted")
	o.refresh()
	for range 3 {
		if err := o.Deliver(t.Context()); err == nil {
			t.Error("Deliver says nothing")
		}
	}
	if log := o.log.taken(); strings.Count(log, "level=ERROR") != 2 {
		t.Errorf("log %q, want one complaint for each list", log)
	}
	if h := o.Health()[1].Targets[0]; h.Trouble == "" || h.Number != 0 {
		t.Errorf("target %+v, want its trouble", h)
	}
	if err := os.Mkdir(folder.Path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := o.Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := o.Health()[1].Targets[0]; h.Trouble != "" || h.Number != held(t, o, "issuing").Number {
		t.Errorf("target %+v, want the list there", h)
	}
	if log := o.log.taken(); strings.Count(log, "copied again") != 2 {
		t.Errorf("log %q, want it to say that all is well again", log)
	}
}

// hanging is a file share that does not answer.
type hanging struct{ asked chan struct{} }

func (hanging) Takes(string) bool { return true }

func (h hanging) Name() string { return "hanging" }

func (h hanging) Put(context.Context, crl.List) (int64, error) {
	close(h.asked)
	select {}
}

// Run serves, builds and ends while a target hangs.
func TestTargetThatHangs(t *testing.T) {
	h := hanging{make(chan struct{})}
	o := newFixture(t, func(c *crl.Config) { c.Targets = []crl.Target{h} })
	o.refresh()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { o.Run(ctx); close(ended) }()
	<-h.asked
	o.pass(time.Second)
	if _, err := o.PublishNow(ctx, "issuing"); err != nil {
		t.Error(err)
	}
	stop()
	<-ended
}

// Run copies the lists that are published while it runs.
func TestRunDelivers(t *testing.T) {
	folder := &crl.Folder{Path: t.TempDir()}
	o := newFixture(t, func(c *crl.Config) { c.Targets = []crl.Target{folder} })
	folder.Signers = o.signers
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { o.Run(ctx); close(ended) }()
	serial := o.revokeNew()
	o.Nudge()
	for {
		raw, err := os.ReadFile(filepath.Join(folder.Path, "issuing.crl"))
		if err == nil && bytes.Contains(raw, serial.Big().Bytes()) {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	stop()
	<-ended
}
