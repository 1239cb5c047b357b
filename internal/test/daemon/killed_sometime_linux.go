package daemon

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// KillSometime runs this test again in another process, as [KillAtEachStep] does, once to its
// end, and then times times, each killed with SIGKILL at a random moment within twice that time. Each
// process has a new folder, which prepare makes and check looks at afterwards. It returns how
// often the process was killed before its end.
func KillSometime(t testing.TB, times int, prepare func() (dir string), check func(dir string, done bool)) (killed int) {
	t.Helper()
	dir := prepare()
	began := time.Now()
	if !runKilled(t, dir, 0) {
		t.Fatal("the act did not come to its end")
	}
	took := time.Since(began)
	check(dir, true)
	for range times {
		dir := prepare()
		done := runKilled(t, dir, time.Millisecond+rand.N(2*took)) // others may load the machine meanwhile
		if !done {
			killed++
		}
		check(dir, done)
	}
	t.Logf("killed %d times within %v", killed, took)
	return killed
}

// runKilled runs the act, kills it after a time unless that is 0, and reports whether it came
// to its end.
func runKilled(t testing.TB, dir string, after time.Duration) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), killedFolder+"="+dir, killedTest+"="+t.Name())
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if after > 0 {
		defer time.AfterFunc(after, func() { cmd.Process.Kill() }).Stop()
	}
	err := cmd.Wait()
	if err != nil && strings.Contains(out.String(), "FAIL") {
		t.Fatalf("%s: %s", t.Name(), out.String())
	}
	return err == nil
}
