package replicas

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

const (
	publicName = "certificates.corp.example"
	plainName  = "pki.corp.example"
)

// instance is one portal: a process with an address of its own, on the ports of
// docs/replicas.md.
type instance struct {
	t       testing.TB
	name    string
	address string // without a port
	data    string
	environ []string
	running *daemon.Process // nil when it does not run
	log     string          // of earlier runs
}

// newInstance prepares a portal on a database; nothing runs yet.
func newInstance(t testing.TB, name, database string, further ...string) *instance {
	t.Helper()
	p := &instance{t: t, name: name, data: t.TempDir()}
	p.address = testkit.Must(daemon.Address(8443, 8080, 9843, 8444))(t)
	p.environ = append([]string{
		"CERTPORTAL_DATABASE=" + database, "CERTPORTAL_DATA=" + p.data, "CERTPORTAL_NODE=" + name,
		"CERTPORTAL_ORGANIZATION=Contoso", "CERTPORTAL_DIRECTORY_DOMAIN=corp.example",
		"CERTPORTAL_LISTEN=" + p.port("8443"), "CERTPORTAL_LISTEN_HTTP=" + p.port("8080"),
		"CERTPORTAL_LISTEN_OPS=" + p.port("9843"), "CERTPORTAL_LISTEN_CHECK=" + p.port("8444"),
		"CERTPORTAL_PUBLIC_URL=https://" + publicName, "CERTPORTAL_PUBLIC_HTTP_URL=http://" + plainName,
		"CERTPORTAL_PUBLIC_CHECK_URL=https://" + publicName + ":8444", "CERTPORTAL_TRUSTED_PROXIES=127.0.0.1/32",
		"CERTPORTAL_CA_ROOT_KEY=ec-p256", "CERTPORTAL_CA_ISSUING_KEY=ec-p256", "CERTPORTAL_CERTIFICATES_KEY=ec-p256",
		"CERTPORTAL_CERTIFICATES_DEVICES=1000", "CERTPORTAL_CERTIFICATES_PER_HOUR=100000",
	}, further...)
	t.Cleanup(p.kill)
	return p
}

func (p *instance) port(number string) string { return net.JoinHostPort(p.address, number) }

// command is the program with the settings of this portal.
func (p *instance) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Env = append(testkit.Environ(), p.environ...)
	cmd.Dir = p.data
	return cmd
}

// run runs a command beside the portal, and returns what it prints.
func (p *instance) run(args ...string) string {
	p.t.Helper()
	out, err := p.command(args...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("certportal %v at %s: %v\n%s", args, p.name, err, out)
	}
	return string(out)
}

// start runs the portal and waits until it is ready.
func (p *instance) start() {
	p.t.Helper()
	running, err := daemon.Run(p.t.Context(), p.command("serve"), func(ctx context.Context) error { return p.ready(ctx, "/readyz") })
	if err != nil {
		p.t.Fatalf("portal %s: %v", p.name, err)
	}
	p.running = running
}

// ready asks for the readiness, as a balancer does.
func (p *instance) ready(ctx context.Context, path string) error {
	return daemon.Answers(ctx, "http://"+p.port("9843")+path)
}

// stop ends the portal as systemd does.
func (p *instance) stop() {
	if p.running != nil {
		p.running.Stop()
		p.log += p.running.Log()
		p.running = nil
	}
}

func (p *instance) kill() {
	if p.running != nil {
		p.running.Kill()
		p.log += p.running.Log()
		p.running = nil
	}
}

// copyCA copies CA and passphrase to another portal, as docs/replicas.md says.
func (p *instance) copyCA(to *instance) {
	p.t.Helper()
	from, into := filepath.Join(p.data, "ca"), filepath.Join(to.data, "ca")
	testkit.NoError(p.t, os.MkdirAll(into, 0o700))
	for _, f := range testkit.Must(os.ReadDir(from))(p.t) {
		content := testkit.Must(os.ReadFile(filepath.Join(from, f.Name())))(p.t)
		testkit.NoError(p.t, os.WriteFile(filepath.Join(into, f.Name()), content, 0o600))
	}
	content := testkit.Must(os.ReadFile(filepath.Join(p.data, "ca-passphrase")))(p.t)
	testkit.NoError(p.t, os.WriteFile(filepath.Join(to.data, "ca-passphrase"), content, 0o600))
}
