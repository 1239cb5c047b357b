package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The next issuing CA is made, shown as pending, published, and activated, each step with
// what comes next.
func TestNextCA(t *testing.T) {
	data := t.TempDir()
	run := func(args ...string) []string { return append([]string{"--data", data, "ca"}, args...) }
	mustRun(t, run("init")...)
	if r := certportal(t, "", run("activate")...); r.code != exitFailed || !strings.Contains(r.err, "ca next") {
		t.Errorf("nothing to activate: exit %d, %q", r.code, r.err)
	}
	made := mustRun(t, run("next")...)
	for _, want := range []string{"issuing-2 is made and pending", "certutil -dspublish -f issuing-2.cer NTAuthCA", "ca activate issuing-2", "/ca/issuing-2.cer"} {
		if !strings.Contains(made, want) {
			t.Errorf("next does not print %q:\n%s", want, made)
		}
	}
	if r := certportal(t, "", run("activate")...); r.code != exitFailed || !strings.Contains(r.err, "no revocation list") {
		t.Errorf("without a list: exit %d, %q", r.code, r.err)
	}
	mustRun(t, run("crl", "--publish", "--issuer", "issuing-2")...)
	shown := shownJSON(t, data)
	if len(shown.Authorities) != 2 || shown.Authorities[0].State != "active" || shown.Authorities[1].State != "pending" {
		t.Errorf("shown: %+v", shown.Authorities)
	}
	for _, test := range []struct{ args, want string }{
		{"--at tomorrow", "write a day"},
		{"--at 2020-01-01", "in the past"},
		{"issuing-9", "there is no issuing CA issuing-9"},
		{"--at " + time.Now().AddDate(5, 0, 0).Format(time.DateOnly), "need more"},
	} {
		if r := certportal(t, "", run(append([]string{"activate"}, strings.Fields(test.args)...)...)...); r.code == 0 || !strings.Contains(r.err, test.want) {
			t.Errorf("activate %s: exit %d, %q", test.args, r.code, r.err)
		}
	}
	day := time.Now().AddDate(0, 0, 2).Format(time.DateOnly)
	if out := mustRun(t, run("activate", "--at", day)...); !strings.Contains(out, "issuing-2 issues from "+day) {
		t.Errorf("planned: %q", out)
	}
	if out := mustRun(t, run("show")...); !strings.Contains(out, "pending: it issues nothing before certportal ca activate; planned for ") {
		t.Errorf("show does not print the plan:\n%s", out)
	}
	mustRun(t, run("activate", "--at", "never")...)
	if out := mustRun(t, run("activate")...); !strings.Contains(out, "issuing-2 issues from now on") {
		t.Errorf("activated: %q", out)
	}
	shown = shownJSON(t, data)
	if shown.Authorities[0].State != "retiring" || shown.Authorities[1].State != "active" {
		t.Errorf("shown: %+v", shown.Authorities)
	}
}

// Without the root's key the command says what to do, and leaves nothing behind.
func TestNextCANeedsTheRoot(t *testing.T) {
	data := t.TempDir()
	mustRun(t, "--data", data, "ca", "init")
	mustRun(t, "--data", data, "ca", "export-root-key", "--to", filepath.Join(t.TempDir(), "root.key"))
	r := certportal(t, "", "--data", data, "ca", "next")
	if r.code != exitFailed || !strings.Contains(r.err, "copy it back as root.key") {
		t.Errorf("without the root's key: exit %d, %q", r.code, r.err)
	}
	if found, _ := filepath.Glob(filepath.Join(data, "ca", "issuing-2*")); len(found) > 0 {
		t.Errorf("left behind: %v", found)
	}
}
