package e2e

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestF3_FullDisk fills the disk under a running portal: enrolling says 503 and
// leaves nothing, lists and pages go on, and once there is room everything works
// without a restart.
func TestF3_FullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("mounting a small disk needs root")
		}
		t.Skip("mounting a small disk needs root")
	}
	d := &demo{t: t, dir: t.TempDir()}
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, "size=16m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(d.dir, syscall.MNT_DETACH) })
	d.args = []string{"demo", "--listen", "127.0.0.1:0", "--data", d.dir}
	d.start("CERTPORTAL_CERTIFICATES_KEY=ec-p256", "CERTPORTAL_LOG_LEVEL=error")
	t.Cleanup(func() { d.stop(syscall.SIGTERM) })
	c := d.visitor()
	d.signIn(c, d.person("employee"))
	form := func(name string) url.Values {
		return url.Values{"name": {name}, "platform": {"linux"}, "request": {"full-disk-" + strings.ToLower(name)}}
	}
	filler := filepath.Join(d.dir, "filler")
	fill(t, filler)

	resp, err := d.post(t.Context(), c, "/new", form("Full"))
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("on a full disk: status %d, Retry-After %q, want 503 and when to try again", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	for _, path := range []string{"/crl/issuing.crl", "/ca/root.cer", "/", "/help"} {
		if status, _, err := d.get(t.Context(), c, path); err != nil || status != http.StatusOK {
			t.Errorf("%s on a full disk: status %d, %v", path, status, err)
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	// The same form again: it was not used up.
	resp, err = d.post(t.Context(), c, "/new", form("Full"))
	if err != nil || resp.StatusCode != http.StatusSeeOther {
		t.Errorf("with room again: %v, %v", resp, err)
	}
}

// fill writes until nothing fits.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 1 << 12, 1} {
		block := make([]byte, size)
		for {
			if _, err := f.Write(block); err != nil {
				break
			}
		}
	}
}
