package load_test

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/internal/test/daemon"
	"certportal/internal/test/load"
	"certportal/internal/test/testkit"
)

// BenchmarkSetup is the way of a script from nothing to the first certificate: setup, a person,
// the start with a CA of its own, sign-in, enrolment and file. It reports seconds of each step.
func BenchmarkSetup(b *testing.B) {
	for b.Loop() {
		folder := b.TempDir()
		address := testkit.Must(daemon.Address(8443, 8080, 8444, 9843))(b)
		p := &portal{t: b, data: folder, https: "https://" + net.JoinHostPort(address, "8443"), http: "http://" + net.JoinHostPort(address, "8080"), ops: "http://" + net.JoinHostPort(address, "9843")}
		p.environ = []string{"CERTPORTAL_LISTEN_OPS=" + p.ops[len("http://"):], "CERTPORTAL_LISTEN_CHECK=" + net.JoinHostPort(address, "8444")}
		settings := []string{"--config", filepath.Join(folder, "certportal.yaml")}
		run := func(args ...string) string {
			out, err := p.command(append(args, settings...)...).CombinedOutput()
			if err != nil {
				b.Fatalf("%s: %v\n%s", args[0], err, out)
			}
			return string(out)
		}
		began, last := time.Now(), time.Now()
		step := func(name string) {
			b.ReportMetric(time.Since(last).Seconds(), "s-"+name)
			last = time.Now()
		}
		run("setup", "--ask-nothing", "--organization=Contoso", "--public-url="+p.https, "--public-http-url="+p.http, "--listen="+p.https[len("https://"):],
			"--listen-http="+p.http[len("http://"):], "--directory=builtin", "--domain=corp.example", "--keep-failed", "--data="+filepath.Join(folder, "data"))
		step("setup")
		p.serve(exec.Command(binary, append([]string{"serve"}, settings...)...))
		step("start")
		_, secret, found := strings.Cut(run("user", "add", "anna", "--upn", "anna@corp.example"), "password: ")
		if !found {
			b.Fatal("user add prints no password")
		}
		step("person")
		browser := load.NewBrowser(p.https, p.transport)
		testkit.NoError(b, browser.SignIn(b.Context(), "anna", strings.TrimSpace(secret)))
		f := testkit.Must(browser.Enrol(b.Context(), "Phone"))(b)
		step("certificate")
		b.ReportMetric(time.Since(began).Seconds(), "s-all")
		testkit.Equal(b, "subject", f.Leaf.Subject.CommonName, "anna@corp.example")
		p.running.Stop()
	}
}

// serve starts the program and waits until it is ready.
func (p *portal) serve(cmd *exec.Cmd) {
	p.t.Helper()
	cmd.Env, cmd.Dir = append(testkit.Environ(), p.environ...), p.data
	running, err := daemon.Run(p.t.Context(), cmd, func(ctx context.Context) error { return daemon.Answers(ctx, p.ops+"/readyz") })
	if err != nil {
		p.t.Fatal(err)
	}
	p.running = running
	p.t.Cleanup(func() {
		if p.t.Failed() {
			log := running.Log()
			p.t.Logf("the portal's log ends:\n%s", log[max(0, len(log)-5000):])
		}
		running.Kill()
	})
	p.connect()
}
