//go:build pkcs11

package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"certportal/internal/test/softhsm"
	"certportal/internal/test/testkit"
)

// TestDocsHSM runs the lines of docs/hsm.md as a newcomer does, up to a portal that serves.
func TestDocsHSM(t *testing.T) {
	softhsm.New(t) // the programs are there
	out := testkit.Must(exec.CommandContext(t.Context(), "go", "env", "GOCACHE", "GOMODCACHE").Output())(t)
	caches := strings.Fields(string(out))
	script := strings.Join(testkit.DocBlocks(t, "hsm.md", "sh"), "\n")
	serve := strings.Join(testkit.DocBlocks(t, "hsm.md", "bash"), "\n")

	// Ports that are free, without a change of the lines: the environment wins over the file.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-eu", "-c", script+"\nexec "+serve)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "GOCACHE="+caches[0], "GOMODCACHE="+caches[1],
		"CERTPORTAL_LISTEN=127.0.0.1:0", "CERTPORTAL_LISTEN_HTTP=127.0.0.1:0", "CERTPORTAL_LISTEN_OPS=127.0.0.1:0", "CERTPORTAL_LISTEN_CHECK=127.0.0.1:0")
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = time.Minute
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	printed := testkit.Must(cmd.StdoutPipe())(t)
	testkit.NoError(t, cmd.Start())
	want := []string{`in the token "Corp Issuing"`, `Root key: in the token "Corp Root"`, "never extractable", "certportal is ready."}
	lines := bufio.NewScanner(printed)
	var all strings.Builder
	for len(want) > 0 && lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), want[0]) {
			want = want[1:]
		}
	}
	cancel()
	_, _ = io.Copy(io.Discard, printed)
	_ = cmd.Wait() // ended by the interrupt
	if len(want) > 0 {
		t.Errorf("the lines of docs/hsm.md do not print %q:\n%s", want[0], all.String())
	}
}
