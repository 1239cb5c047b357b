package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// stateOf are the names and states of the issuing CAs of a folder.
func stateOf(t *testing.T, data string) string {
	t.Helper()
	var states string
	for _, a := range shownJSON(t, data).Authorities {
		states += a.Name + " " + a.State + "; "
	}
	return states
}

// killedCalls are the calls at which a test kills: some, and in long tests every write too.
func killedCalls(t *testing.T, calls ...string) []string {
	t.Helper()
	if testkit.Times(t, 1) > 1 {
		return []string{"renameat", "linkat", "unlinkat", "fsync", "pwrite64"}
	}
	return calls
}

// prepared copies a data folder for each process that is killed.
func prepared(t *testing.T, commands ...[]string) func(dir string) {
	t.Helper()
	data := t.TempDir()
	for _, c := range commands {
		mustRun(t, append([]string{"--data", data}, c...)...)
	}
	return func(dir string) {
		testkit.NoError(t, os.RemoveAll(dir))
		testkit.NoError(t, os.CopyFS(dir, os.DirFS(data)))
		testkit.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
			if err == nil && !info.IsDir() {
				err = os.Chmod(path, 0o600)
			}
			return err
		}))
	}
}

// TestF9_KilledAtEachStepOfTheNextCA kills certportal ca next: the CA that runs is
// untouched, the next one is pending and whole or not there, and a second command brings
// what the first did not.
func TestF9_KilledAtEachStepOfTheNextCA(t *testing.T) {
	if dir, ok := daemon.KilledFolder(t); ok {
		mustRun(t, "--data", dir, "ca", "next")
		return
	}
	var before map[string][]byte
	prepare := prepared(t, []string{"ca", "init"})
	daemon.KillAtEachStep(t, killedCalls(t, "renameat", "linkat"), func(dir string) {
		prepare(dir)
		before = folderContents(t, filepath.Join(dir, "ca"))
	}, func(dir string, done bool) {
		after := folderContents(t, filepath.Join(dir, "ca"))
		for name, content := range before {
			if !bytes.Equal(content, after[name]) {
				t.Errorf("%s changed", name)
			}
		}
		states := stateOf(t, dir)
		switch {
		case states == "issuing active; " && !done:
			mustRun(t, "--data", dir, "ca", "next") // with another name when the request is there
		case states != "issuing active; issuing-2 ; ": // no portal has seen it yet
			t.Errorf("done %t: %s", done, states)
		case !done && testkit.Times(t, 1) == 1:
			return
		}
		name := shownJSON(t, dir).Authorities[1].Name
		mustRun(t, "--data", dir, "ca", "crl", "--publish", "--issuer", name)
		mustRun(t, "--data", dir, "ca", "activate", name) // opens its key
		mustRun(t, "--data", dir, "audit", "verify")
	})
}

// TestF9_KilledAtEachStepOfAnActivation kills certportal ca activate: one CA issues, the one
// before or the next, and the portal can say which. A second command ends what the first
// did not.
func TestF9_KilledAtEachStepOfAnActivation(t *testing.T) {
	if dir, ok := daemon.KilledFolder(t); ok {
		mustRun(t, "--data", dir, "ca", "activate", "issuing-2")
		return
	}
	prepare := prepared(t, []string{"ca", "init"}, []string{"ca", "next"}, []string{"ca", "crl", "--publish"})
	outcomes := map[string]int{}
	killed := daemon.KillAtEachStep(t, killedCalls(t, "fsync"), prepare, func(dir string, done bool) {
		states := stateOf(t, dir)
		outcomes[states]++
		switch {
		case states == "issuing active; issuing-2 pending; " && !done:
			mustRun(t, "--data", dir, "ca", "activate", "issuing-2")
		case states != "issuing retiring; issuing-2 active; ":
			t.Errorf("done %t: %s", done, states)
		}
		testkit.Equal(t, "afterwards", stateOf(t, dir), "issuing retiring; issuing-2 active; ")
		mustRun(t, "--data", dir, "audit", "verify")
	})
	if len(outcomes) != 2 {
		t.Errorf("killed %d times with one outcome: %v", killed, outcomes)
	}
}

// TestF18_KilledAtEachStepOfTheFirstCA kills certportal ca init: one CA is recorded at most,
// its files are whole, and a second command brings what the first did not.
func TestF18_KilledAtEachStepOfTheFirstCA(t *testing.T) {
	if dir, ok := daemon.KilledFolder(t); ok {
		mustRun(t, "--data", dir, "ca", "init")
		return
	}
	outcomes := map[bool]int{}
	daemon.KillAtEachStep(t, killedCalls(t, "renameat", "linkat"), func(dir string) {
		testkit.NoError(t, os.RemoveAll(dir))
		testkit.NoError(t, os.Mkdir(dir, 0o700))
	}, func(dir string, done bool) {
		_, err := os.Stat(filepath.Join(dir, "ca", "issuing.crt"))
		outcomes[err == nil]++
		if err != nil {
			mustRun(t, "--data", dir, "ca", "init")
		} else {
			mustRun(t, "--data", dir, "ca", "crl", "--publish")
		}
		testkit.Equal(t, "states", stateOf(t, dir), "issuing active; ")
		log := mustRun(t, "--data", dir, "audit", "export")
		testkit.Equal(t, "CAs on record", strings.Count(log, `"ca.created"`), 1)
		if _, err := os.Stat(filepath.Join(dir, "ca.new")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("ca.new is left: %v", err)
		}
	})
	if len(outcomes) != 2 {
		t.Errorf("one outcome: %v", outcomes)
	}
}
