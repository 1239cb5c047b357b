package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/durable"
	"certportal/internal/test/pgtest"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// replica is the data folder of a portal on a database.
type replica struct {
	t       *testing.T
	data    string
	environ map[string]string
}

func newReplica(t *testing.T, database string) replica {
	environ := fixture.FastCA()
	environ["CERTPORTAL_DATABASE"], environ["CERTPORTAL_ORGANIZATION"] = database, "Contoso"
	environ["CERTPORTAL_PUBLIC_HTTP_URL"] = "http://pki.corp.example"
	return replica{t, filepath.Join(t.TempDir(), "data"), environ}
}

// run runs a command of the CA and gives its exit code and output.
func (r replica) run(args ...string) (int, string) {
	r.t.Helper()
	var out, errs bytes.Buffer
	code := run(r.t.Context(), append([]string{"--data", r.data, "ca"}, args...), streams{strings.NewReader(""), &out, &errs}, r.environ)
	return code, out.String() + errs.String()
}

func (r replica) must(args ...string) string {
	r.t.Helper()
	code, out := r.run(args...)
	if code != exitDone {
		r.t.Fatalf("ca %v: exit %d: %s", args, code, out)
	}
	return out
}

// refused wants a command to change nothing and to say why.
func (r replica) refused(want string, args ...string) {
	r.t.Helper()
	before := r.files()
	code, out := r.run(args...)
	testkit.Equal(r.t, "exit code", code, exitFailed)
	testkit.Contains(r.t, "the refusal", out, want)
	testkit.Equal(r.t, "files after the refusal", r.files(), before)
}

// files lists what is in the data folder, with its content.
func (r replica) files() string {
	var all strings.Builder
	for _, pattern := range []string{"*", "ca/*", ".certportal*"} {
		for _, name := range testkit.Must(fs.Glob(os.DirFS(r.data), pattern))(r.t) {
			content, _ := os.ReadFile(filepath.Join(r.data, name)) // empty for folders
			all.WriteString(name + "\n" + string(content) + "\n")
		}
	}
	return all.String()
}

// passphrase brings the passphrase of the CA's keys from another machine.
func (r replica) passphrase(from replica) {
	r.t.Helper()
	testkit.NoError(r.t, os.MkdirAll(r.data, 0o700))
	const name = "ca-passphrase"
	testkit.NoError(r.t, os.WriteFile(filepath.Join(r.data, name), testkit.Must(os.ReadFile(filepath.Join(from.data, name)))(r.t), 0o600))
}

// The CA comes to another replica in a sealed file, and so does the next one.
func TestCopyOfTheCA(t *testing.T) {
	var server pgtest.Server
	t.Cleanup(server.Stop)
	database := server.Database(t)
	first, second := newReplica(t, database), newReplica(t, database)
	second.data = filepath.Join(t.TempDir(), "a[b*c") // no pattern
	first.must("init")
	file := filepath.Join(t.TempDir(), "ca.age")
	testkit.Contains(t, "copy-to", first.must("copy-to", file), "ca copy-from")
	sealed := testkit.Must(os.ReadFile(file))(t)
	if bytes.Contains(sealed, []byte("PRIVATE KEY")) || bytes.Contains(sealed, []byte("CERTIFICATE")) || !bytes.HasPrefix(sealed, []byte("age-encryption.org")) {
		t.Error("the file is not sealed")
	}
	testkit.Equal(t, "mode", testkit.Must(os.Stat(file))(t).Mode().Perm(), 0o600)
	if code, out := first.run("copy-to", file); code != exitFailed || !strings.Contains(out, "exist") {
		t.Errorf("over a file that is there: exit %d: %s", code, out)
	}

	second.refused("bring the passphrase of the CA's keys to this machine first", "copy-from", file)
	second.passphrase(first)
	left := filepath.Join(second.data, ".certportal-ca-1234") // of a command that was killed
	testkit.NoError(t, os.Mkdir(left, 0o700))
	testkit.NoError(t, os.WriteFile(filepath.Join(left, "issuing.key"), []byte("x"), 0o600))
	testkit.Contains(t, "copy-from", second.must("copy-from", file), "issuing.crt")
	testkit.Equal(t, "what is left", len(testkit.Must(durable.Named(second.data, ".certportal-ca-"))(t)), 0)
	testkit.Contains(t, "the copy", second.must("show"), "issuing")
	for _, key := range testkit.Must(durable.Named(filepath.Join(second.data, "ca"), ""))(t) {
		testkit.Equal(t, "mode of "+key, testkit.Must(os.Stat(key))(t).Mode().Perm(), 0o600)
	}
	testkit.Contains(t, "copy-from again", second.must("copy-from", file), "already")

	first.must("next")
	next := filepath.Join(t.TempDir(), "next.age")
	first.must("copy-to", next)
	testkit.Contains(t, "copy-from of the next", second.must("copy-from", next), "issuing-2.crt")
	received := fixture.EntriesOf(t, fixture.Open(t, database), audit.CAReceived)
	testkit.Equal(t, "arrivals in the audit log", len(received), 2)
	testkit.Contains(t, "files of the second one", received[1].Detail["files"], "issuing-2.crt")
	for _, name := range []string{"issuing-2.crt", "issuing-2.key", "issuing-2.chain", "issuing.key"} {
		got := testkit.Must(os.ReadFile(filepath.Join(second.data, "ca", name)))(t)
		if !bytes.Equal(got, testkit.Must(os.ReadFile(filepath.Join(first.data, "ca", name)))(t)) {
			t.Errorf("%s is another one", name)
		}
	}
}

// What is not the recorded CA, does not open, is cut off or would replace a file changes nothing.
func TestCopyOfTheCAIsRefused(t *testing.T) {
	var server pgtest.Server
	t.Cleanup(server.Stop)
	first, foreign := newReplica(t, server.Database(t)), newReplica(t, server.Database(t))
	first.must("init")
	foreign.must("init")
	folder := t.TempDir()
	file := filepath.Join(folder, "ca.age")
	first.must("copy-to", file)
	sealed := testkit.Must(os.ReadFile(file))(t)
	damaged := func(name string, content []byte) string {
		path := filepath.Join(folder, name)
		testkit.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}

	foreign.refused("does not open with the passphrase", "copy-from", file)
	foreign.refused("is not that of the records", "copy-from", file, "--passphrase-file", filepath.Join(first.data, "ca-passphrase"))

	other := newReplica(t, first.environ["CERTPORTAL_DATABASE"])
	other.passphrase(first)
	other.refused("damaged", "copy-from", damaged("cut", sealed[:len(sealed)-100]))
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)/2] ^= 1
	other.refused("damaged", "copy-from", damaged("flipped", flipped))
	other.refused("no copy of a CA", "copy-from", damaged("text", []byte("no copy")))

	testkit.NoError(t, os.CopyFS(filepath.Join(other.data, "ca"), os.DirFS(filepath.Join(foreign.data, "ca"))))
	for _, name := range testkit.Must(filepath.Glob(filepath.Join(other.data, "ca", "*")))(t) {
		testkit.NoError(t, os.Chmod(name, 0o600))
	}
	other.refused("there is another CA in", "copy-from", file)
	testkit.NoError(t, os.RemoveAll(filepath.Join(other.data, "ca")))
	other.must("copy-from", file)
	testkit.NoError(t, os.WriteFile(filepath.Join(other.data, "ca", "root.key"), []byte("another key"), 0o600))
	other.refused("root.key in", "copy-from", file)
}
