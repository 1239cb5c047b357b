package setup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// TestSignalRemovesDrafts: a password that was typed is gone when a signal ends setup while it
// waits for an answer.
func TestSignalRemovesDrafts(t *testing.T) {
	c := answered(t, new(bytes.Buffer), map[string]string{
		"listen": "", "listen_http": "", "tls.certificate": "", "tls.acme.directory": "", "anchors": "", "mail.host": "mail.corp.example", "mail.security": "tls", "mail.port": "",
		"mail.from": "portal@corp.example", "mail.user": "portal",
	})
	in, typed := io.Pipe()
	c.AskNothing, c.In, c.Drafts = false, in, t.TempDir()
	delete(c.Given, "listen")
	delete(c.Given, "listen_http")
	ctx, stop := context.WithCancel(t.Context())
	c.Check = func(_ context.Context, _ *config.Settings, part string) []portal.Finding { return nil }
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, c) }()
	go func() {
		io.WriteString(typed, "\n\n")            // ports
		io.WriteString(typed, "secret word\n\n") // password, CA file
	}()
	testkit.Eventually(t, "the password is tried", func() bool {
		found, _ := filepath.Glob(filepath.Join(c.Drafts, "*", "mail-password"))
		return len(found) == 1
	})
	stop()
	if err := <-ended; !errors.Is(err, ErrStopped) && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	typed.Close()
	if left := testkit.Must(os.ReadDir(c.Drafts))(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
