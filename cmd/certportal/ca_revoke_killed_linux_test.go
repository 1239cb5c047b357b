package main

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"certportal/ca"
	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit/fixture"
)

// killedData is the data folder of the process that is killed.
const killedData = "CERTPORTAL_TEST_KILLED_REVOKING"

// TestF9_KilledAtEachStepOfRevoking kills the command at each write that reaches the disk.
// The root's list never names a CA that still issues, and the second run does what is left.
func TestF9_KilledAtEachStepOfRevoking(t *testing.T) {
	if data := os.Getenv(killedData); data != "" {
		args := []string{"--data", data, "ca", "revoke-issuing", "--reason", "keyCompromise", "--confirm", "issuing"}
		os.Exit(run(context.Background(), args, streams{strings.NewReader(""), os.Stdout, os.Stderr}, fixture.FastCA()))
	}
	strace := daemon.Program("strace")
	if strace == "" {
		daemon.Need(t, "strace is not installed")
	}
	first := t.TempDir()
	mustRun(t, "--data", first, "ca", "init")
	states := map[string]bool{}
	for n := 1; ; n++ {
		data := filepath.Join(t.TempDir(), "data")
		copyFolder(t, first, data)
		cmd := exec.Command(strace, "-f", "-qq", "-o", os.DevNull, "-e", "trace=fdatasync,fsync",
			"-e", "inject=fdatasync,fsync:signal=KILL:when="+strconv.Itoa(n), os.Args[0], "-test.run=^TestF9_KilledAtEachStepOfRevoking$")
		cmd.Env = append(os.Environ(), killedData+"="+data)
		out, err := cmd.CombinedOutput()
		shown := shownJSON(t, data)
		named := rootNames(t, data)
		states[shown.Authorities[0].State] = true
		if named && shown.Authorities[0].State != "revoked" {
			t.Errorf("killed at %d: the list names a CA that is %s", n, shown.Authorities[0].State)
		}
		if err == nil {
			if !named {
				t.Errorf("the whole run left no list: %s", out)
			}
			break
		}
		mustRun(t, "--data", data, "ca", "revoke-issuing", "issuing", "--reason", "keyCompromise", "--confirm", "issuing")
		if !rootNames(t, data) {
			t.Errorf("killed at %d: the second run made no list", n)
		}
		if n > 60 {
			t.Fatal("the command has no end")
		}
	}
	if !states["active"] || !states["revoked"] {
		t.Errorf("killed in the states %v only", states)
	}
}

// rootNames reports whether the newest list of the root names the issuing CA.
func rootNames(t *testing.T, data string) bool {
	t.Helper()
	file := filepath.Join(t.TempDir(), "root.crl")
	mustRun(t, "--data", data, "ca", "crl", "--issuer", "root", "--out", file)
	der, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := ca.OpenFolder(filepath.Join(data, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := ca.ReadCRL(der, folder.Root())
	if err != nil {
		t.Fatal(err)
	}
	entry, err := list.Find(folder.Issuing().SerialNumber)
	if err != nil {
		t.Fatal(err)
	}
	return entry != nil
}

// copyFolder copies a data folder with the modes of its files.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(from, path)
		if err != nil || d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rest), 0o700)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rest), content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
