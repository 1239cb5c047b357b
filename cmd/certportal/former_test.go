package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

// git runs git in the folder of the module. Without the history there is nothing to run, and
// nothing that could be installed: such a clone skips the test, on CI too.
func git(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("git", append([]string{"-C", testkit.Root(t)}, args...)...).Output()
	if err != nil {
		t.Skipf("git %s: %v: this test needs a clone with its history", args[0], err)
	}
	return strings.TrimSpace(string(out))
}

// migrationsOf are the schema files of a commit with their hashes, but for those of a version.
func migrationsOf(t *testing.T, commit string, but int64) string {
	t.Helper()
	var files []string
	for line := range strings.Lines(git(t, "ls-tree", commit, "store/migrations/")) {
		if strings.Contains(line, ".sql") && !strings.Contains(line, fmt.Sprintf("/%05d_", but)) {
			files = append(files, strings.TrimSpace(line))
		}
	}
	return strings.Join(files, "\n")
}

// formerCommit is the newest commit whose schema is that of now without the newest version.
func formerCommit(t *testing.T) string {
	t.Helper()
	newest := testkit.Must(store.SchemaVersion())(t)
	want := migrationsOf(t, "HEAD", newest)
	for _, commit := range strings.Fields(git(t, "rev-list", "HEAD", "--", "store/migrations")) {
		parent, err := exec.Command("git", "-C", testkit.Root(t), "rev-parse", "--verify", "-q", commit+"^").Output()
		if before := strings.TrimSpace(string(parent)); err == nil && migrationsOf(t, before, 0) == want {
			return before
		}
	}
	t.Skip("the history has no commit with the former schema: fetch all of it, as with git fetch --unshallow")
	return ""
}

// formerProgram builds the program of the former schema, once for each commit.
func formerProgram(t *testing.T) string {
	t.Helper()
	commit := formerCommit(t)
	folder := testkit.Must(daemon.Cached("former-"+commit[:12], func(folder string) error {
		source := filepath.Join(folder, "source")
		archive := exec.Command("git", "-C", testkit.Root(t), "archive", commit)
		text, err := archive.Output()
		if err == nil {
			err = os.Mkdir(source, 0o755)
		}
		if err == nil {
			unpack := exec.Command("tar", "-x", "-C", source)
			unpack.Stdin = bytes.NewReader(text)
			err = unpack.Run()
		}
		if err != nil {
			return err
		}
		build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(folder, "certportal"), "./cmd/certportal")
		build.Dir = source
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return os.RemoveAll(source)
	}))(t)
	t.Logf("the former program is that of commit %s", commit)
	return filepath.Join(folder, "certportal")
}

// former is an installation of the former program.
type former struct {
	program, data    string
	environ          map[string]string
	https, http, ops string
	client           *http.Client
	process          *daemon.Process
}

func (f *former) command(args ...string) *exec.Cmd {
	cmd := exec.Command(f.program, append([]string{"--data", f.data}, args...)...)
	for name, value := range f.environ {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"), "HOME="+os.Getenv("HOME"))
	return cmd
}

func (f *former) run(t *testing.T, want int, args ...string) string {
	t.Helper()
	cmd := f.command(args...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		t.Fatalf("former %v: exit %d, want %d\n%s", args, got, want, out)
	}
	return string(out)
}

func newFormer(t *testing.T, database string) *former {
	t.Helper()
	f := &former{program: formerProgram(t), data: t.TempDir(), environ: fixture.FastCA()}
	for _, address := range []*string{&f.https, &f.http, &f.ops} {
		*address = testkit.Must(daemon.FreeAddress())(t)
	}
	for name, value := range map[string]string{
		"DATABASE": database, "LISTEN": f.https, "LISTEN_HTTP": f.http, "LISTEN_OPS": f.ops, "LISTEN_CHECK": "127.0.0.1:0",
		"PUBLIC_URL": "https://" + f.https, "PUBLIC_HTTP_URL": "http://" + f.http, "ORGANIZATION": "Former",
	} {
		f.environ["CERTPORTAL_"+name] = value
	}
	f.client = &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(f.client.CloseIdleConnections)
	return f
}

// status asks for an address.
func (f *former) status(url string) (int, string) {
	r, err := f.client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(text)
}

func (f *former) serve(t *testing.T) {
	t.Helper()
	f.process = testkit.Must(daemon.Run(t.Context(), f.command("serve"), func(context.Context) error {
		if code, text := f.status("http://" + f.ops + "/readyz"); code != http.StatusOK {
			return fmt.Errorf("readiness is %d: %s", code, text)
		}
		return nil
	}))(t)
	t.Cleanup(f.process.Stop)
}

// signIn sends the form of the sign-in page, which every attempt is recorded of.
func (f *former) signIn(t *testing.T) int {
	t.Helper()
	form := url.Values{"username": {"anna"}, "password": {"wrong"}}
	r := testkit.Must(http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+f.https+"/login", strings.NewReader(form.Encode())))(t)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	answer := testkit.Must(f.client.Do(r))(t)
	answer.Body.Close()
	return answer.StatusCode
}

// The program before this one, of the former schema, beside this one, as docs/replicas.md has
// it: it runs on its schema, writes nothing under the newer one and says so, serves its lists
// on, and does not start again.
func TestF18_TheFormerProgramBesideThisOne(t *testing.T) {
	database := fixture.EmptyPostgres(t)
	f := newFormer(t, database)
	f.run(t, exitDone, "ca", "init")
	f.run(t, exitDone, "user", "add", "anna")
	f.serve(t)
	if code := f.signIn(t); code >= 500 || code == http.StatusForbidden {
		t.Fatalf("signing in before: status %d", code)
	}
	list := "http://" + f.http + "/crl/issuing.crl"
	code, _ := f.status(list)
	testkit.Equal(t, "list before", code, http.StatusOK)

	data := copyOf(t, f.data) // of the second machine
	environ := map[string]string{"CERTPORTAL_DATABASE": database}
	r := within(t, data, environ, "migrate", "--check")
	testkit.Equal(t, "exit code of the check", r.code, exitBehind)
	r = within(t, data, environ, "migrate")
	testkit.Equal(t, "exit code of migrate: "+r.err, r.code, exitDone)

	testkit.Eventually(t, "the former one notices", func() bool {
		code, text := f.status("http://" + f.ops + "/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(text, "newer than this program")
	})
	testkit.Equal(t, "signing in", f.signIn(t), http.StatusServiceUnavailable)
	code, _ = f.status(list)
	testkit.Equal(t, "list", code, http.StatusOK)
	code, _ = f.status("https://" + f.https + "/login")
	testkit.Equal(t, "sign-in page", code, http.StatusOK)

	r = within(t, data, environ, "user", "add", "ben") // this one goes on
	testkit.Equal(t, "exit code of this one", r.code, exitDone)
	testkit.Equal(t, "audit log", within(t, data, environ, "audit", "verify").code, exitDone)
	f.process.Stop()
	for _, command := range [][]string{{"serve"}, {"user", "list"}, {"audit", "verify"}} {
		testkit.Contains(t, "the former one again", f.run(t, exitConfig, command...), "database schema is newer than this program")
	}
}
