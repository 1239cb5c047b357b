package replicas

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// balancer is a running load balancer in front of the portals.
type balancer struct {
	name         string
	secure, http string // addresses
	roots        *x509.CertPool
	watch        *watch
}

// files is what the configurations in the docs name.
type files struct {
	folder      string
	roots       *x509.CertPool
	certificate daemon.Files
}

func newFiles(t testing.TB, portals []*instance) files {
	t.Helper()
	f := files{folder: t.TempDir()}
	authority := testkit.Must(daemon.NewAuthority())(t)
	f.certificate = testkit.Must(authority.Server(f.folder, publicName))(t)
	f.roots = authority.Roots()
	both := append(testkit.Must(os.ReadFile(f.certificate.Certificate))(t), testkit.Must(os.ReadFile(f.certificate.Key))(t)...)
	testkit.NoError(t, os.WriteFile(filepath.Join(f.folder, "portal.pem"), both, 0o600))
	root := testkit.Must(os.ReadFile(filepath.Join(portals[0].data, "ca", "root.crt")))(t)
	testkit.NoError(t, os.WriteFile(filepath.Join(f.folder, "portal-root.pem"), root, 0o600))
	return f
}

// fill puts addresses and files of the test into a configuration of the docs. Each text must
// be in it.
func fill(t testing.TB, config string, portals []*instance, pairs ...string) string {
	t.Helper()
	for n, p := range portals {
		pairs = append(pairs, fmt.Sprintf("10.0.0.%d:", 11+n), p.address+":")
	}
	for n := 0; n < len(pairs); n += 2 {
		if !strings.Contains(config, pairs[n]) {
			t.Fatalf("docs/replicas.md has no %q in\n%s", pairs[n], config)
		}
		config = strings.ReplaceAll(config, pairs[n], pairs[n+1])
	}
	return config
}

// haproxy starts HAProxy with the configuration in the docs.
func haproxy(t testing.TB, portals []*instance) *balancer {
	t.Helper()
	program := daemon.Program("haproxy")
	if program == "" {
		daemon.Need(t, "haproxy is not installed")
	}
	f := newFiles(t, portals)
	b := &balancer{name: "HAProxy", roots: f.roots, watch: &watch{}}
	b.secure, b.http = testkit.Must(daemon.FreeAddress())(t), testkit.Must(daemon.FreeAddress())(t)
	config := fill(t, testkit.DocBlocks(t, "replicas.md", "haproxy")[0], portals,
		"bind :443 ", "bind "+b.secure+" ", "bind :80\n", "bind "+b.http+"\n", "bind :8444\n", "bind "+testkit.Must(daemon.FreeAddress())(t)+"\n",
		"/etc/haproxy", f.folder)
	b.run(t, f, config+"\n", program, "-db", "-f")
	return b
}

// nginx starts nginx with the configuration in the docs.
func nginx(t testing.TB, portals []*instance) *balancer {
	t.Helper()
	program := daemon.Program("nginx")
	if program == "" {
		daemon.Need(t, "nginx is not installed")
	}
	f := newFiles(t, portals)
	b := &balancer{name: "nginx", roots: f.roots, watch: &watch{}}
	b.secure, b.http = testkit.Must(daemon.FreeAddress())(t), testkit.Must(daemon.FreeAddress())(t)
	config := fill(t, testkit.DocBlocks(t, "replicas.md", "nginx")[0], portals,
		"listen 443 ssl;", "listen "+b.secure+" ssl;", "listen 80;", "listen "+b.http+";",
		"/etc/nginx/portal.crt", f.certificate.Certificate, "/etc/nginx/portal.key", f.certificate.Key, "/etc/nginx", f.folder)
	var temporary strings.Builder
	for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s;\n", of, filepath.Join(f.folder, of))
	}
	frame := "daemon off;\nworker_processes 1;\npid %s/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n%s%s\n}\n"
	b.run(t, f, fmt.Sprintf(frame, f.folder, temporary.String(), config), program, "-p", f.folder, "-e", "stderr", "-c")
	return b
}

// run writes the configuration, and starts the program with it as the last argument.
func (b *balancer) run(t testing.TB, f files, config string, program string, args ...string) {
	t.Helper()
	file := filepath.Join(f.folder, "config")
	testkit.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	p, err := daemon.Run(t.Context(), exec.Command(program, append(args, file)...), func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", b.secure)
		if err != nil {
			return err
		}
		return c.Close()
	})
	testkit.NoError(t, err)
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("%s:\n%s", b.name, p.Log())
		}
	})
}
