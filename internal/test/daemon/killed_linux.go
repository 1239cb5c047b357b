package daemon

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Environment variables of the process that is killed.
const (
	killedFolder = "CERTPORTAL_TEST_KILLED_FOLDER"
	killedTest   = "CERTPORTAL_TEST_KILLED_TEST"
)

// KilledFolder returns the folder in which this process carries out the act that
// [KillAtEachStep] kills; ok is false in the process of the test itself.
func KilledFolder(t testing.TB) (dir string, ok bool) {
	t.Helper()
	return os.Getenv(killedFolder), os.Getenv(killedTest) == t.Name()
}

// KillAtEachStep runs this test again in another process, which is killed with SIGKILL
// at the nth of a kind of system calls, for each n until the act comes to its end. Each
// process has a new folder, which prepare fills and check looks at afterwards. It returns
// how often it killed, and fails a test that did not kill at each kind. strace counts the
// calls of each thread: where Go goes on in another thread, later calls are not reached.
func KillAtEachStep(t testing.TB, calls []string, prepare func(dir string), check func(dir string, done bool)) int {
	t.Helper()
	strace := Program("strace")
	if strace == "" {
		Need(t, "strace is not installed")
	}
	killed := 0
	for _, call := range calls {
		for n := 1; ; n++ {
			dir := filepath.Join(t.TempDir(), "folder")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			prepare(dir)
			done := killedAt(t, strace, dir, call, n)
			check(dir, done)
			if done {
				break
			}
			killed++
		}
	}
	t.Logf("killed %d times", killed)
	if killed < len(calls) {
		t.Errorf("killed %d times only", killed)
	}
	return killed
}

// killedAt runs the act and reports whether it came to its end.
func killedAt(t testing.TB, strace, dir, call string, n int) bool {
	t.Helper()
	if n > 200 {
		t.Fatal("the act has no end")
	}
	cmd := exec.Command(strace, "-f", "-qq", "-o", os.DevNull, "-e", "trace="+call,
		"-e", "inject="+call+":signal=KILL:when="+strconv.Itoa(n), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), killedFolder+"="+dir, killedTest+"="+t.Name(), "GOMAXPROCS=1")
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(string(out), "FAIL") {
		t.Fatalf("%s: %s", t.Name(), out)
	}
	return err == nil
}
