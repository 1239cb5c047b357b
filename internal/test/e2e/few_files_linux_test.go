package e2e

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"certportal/ca"
)

// TestF19_FewOpenFiles lets the program open 64 files, and takes all that are left by connections
// that say nothing. It neither ends nor leaves an enrolment half done, and serves again when
// they are gone.
func TestF19_FewOpenFiles(t *testing.T) {
	slow(t)
	need(t, "prlimit")
	d := &demo{t: t, dir: t.TempDir(), program: "prlimit"}
	d.args = []string{"--nofile=64:64", binary, "demo", "--listen", "127.0.0.1:0", "--data", d.dir}
	d.start("CERTPORTAL_CA_ROOT_KEY=ec-p256", "CERTPORTAL_CA_ISSUING_KEY=ec-p256", "CERTPORTAL_CERTIFICATES_KEY=ec-p256", "CERTPORTAL_CERTIFICATES_DEVICES=1000")
	t.Cleanup(func() { d.stop(syscall.SIGTERM) })
	c := d.visitor()
	d.signIn(c, d.person("employee"))
	got := &received{certs: map[ca.Serial][]byte{}}
	idle := d.idle(200)
	for n := range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if der, serial, ok := d.tryEnrol(ctx, c, fmt.Sprint("full-", n)); ok {
			got.add(serial, der)
		}
		cancel()
	}
	t.Logf("%d of 10 enrolments with all files taken", len(got.certs))
	if text := d.stderr(); !strings.Contains(text, "too many open files") {
		t.Error("the files did not run out: the test did not test")
	}
	for _, conn := range idle {
		conn.Close()
	}
	c.CloseIdleConnections()
	der, serial, ok := d.tryEnrol(t.Context(), c, "after")
	if !ok {
		t.Fatalf("no enrolment once there are files again:\n%s", d.stderr())
	}
	got.add(serial, der)
	d.stop(syscall.SIGTERM)
	got.check(t, d)
}

// idle opens connections that say nothing.
func (d *demo) idle(n int) []net.Conn {
	var all []net.Conn
	for range n {
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.https, "https://"))
		if err != nil {
			break
		}
		all = append(all, conn)
	}
	return all
}
