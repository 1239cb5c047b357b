package replicas

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"certportal/internal/portal"
	"certportal/internal/test/daemon"
	"certportal/internal/test/pgtest"
	"certportal/internal/test/testkit"
)

// pgBouncer starts PgBouncer in transaction mode in front of a database, with few server
// connections, and returns the addresses of the database and of its own console.
func pgBouncer(t *testing.T, database string) (address, console string) {
	t.Helper()
	program := daemon.Program("pgbouncer")
	if program == "" {
		daemon.Need(t, "pgbouncer is not installed")
	}
	folder := testkit.Must(os.MkdirTemp("", "pgbouncer"))(t) // t.TempDir is closed to its account
	t.Cleanup(func() { os.RemoveAll(folder) })
	testkit.NoError(t, os.Chmod(folder, 0o755))
	behind := testkit.Must(pgx.ParseConfig(database))(t)
	port := testkit.Must(daemon.Port())(t)
	config := fmt.Sprintf(`[databases]
* = host=%s port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = trust
auth_file = %s/users
admin_users = portal
pool_mode = transaction
default_pool_size = 8
`, behind.Host, behind.Port, port, folder)
	file := filepath.Join(folder, "config")
	testkit.NoError(t, os.WriteFile(filepath.Join(folder, "users"), []byte(`"portal" ""`+"\n"), 0o644))
	testkit.NoError(t, os.WriteFile(file, []byte(config), 0o644))
	args := []string{file}
	if os.Getuid() == 0 {
		args = []string{"-u", "nobody", file} // it refuses to be root
	}
	of := func(name string) string {
		return fmt.Sprintf("postgres://portal@127.0.0.1:%d/%s?sslmode=disable", port, name)
	}
	p, err := daemon.Run(t.Context(), exec.Command(program, args...), func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, of("pgbouncer"))
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
	testkit.NoError(t, err)
	t.Cleanup(func() {
		p.StopBy(os.Interrupt)
		if t.Failed() {
			t.Logf("pgbouncer:\n%s", p.Log())
		}
	})
	return of(behind.Database), of("pgbouncer")
}

// direct is a portal itself in the place of a balancer.
func direct(t testing.TB, p *instance) *balancer {
	t.Helper()
	roots := pool(certificate(t, filepath.Join(p.data, "ca", "root.crt")))
	return &balancer{name: p.name, secure: p.port("8443"), http: p.port("8080"), roots: roots, watch: &watch{}}
}

// Behind PgBouncer in transaction mode, where each transaction may meet another server
// process, three portals start, migrate and serve whole journeys; while it pauses people read
// that records cannot be reached, and all goes on afterwards without a restart.
func TestF5_BehindPgBouncer(t *testing.T) {
	slow(t)
	var server pgtest.Server
	t.Cleanup(server.Stop)
	address, console := pgBouncer(t, server.Database(t))
	c := newCluster(t, address)
	c.add("helen", portal.Helpdesk)
	all := []*balancer{direct(t, c.portals[0]), direct(t, c.portals[1]), direct(t, c.portals[2])}
	for _, b := range all[:2] {
		c.add("anna." + b.name)
		c.add("bert." + b.name)
		c.journey(t, b, "anna."+b.name)
		c.handOff(t, b, "anna."+b.name)
		c.pickupCode(t, b, "bert."+b.name)
	}
	stop := c.load(t, all, 20)
	testkit.Eventually(t, "people have certificates", func() bool { return c.held() > 60 })
	stop()
	noErrors(t, all)
	c.paused(t, all[2], console)
	lost, twice := c.check()
	testkit.Equal(t, "certificates lost", lost, 0)
	testkit.Equal(t, "serials twice", twice, 0)
}

// paused pauses PgBouncer and looks at what people see.
func (c *cluster) paused(t *testing.T, b *balancer, console string) {
	t.Helper()
	ctx, phone := t.Context(), b.newBrowser(t)
	testkit.NoError(t, phone.signIn(ctx, "anna.one"))
	conn := testkit.Must(pgx.Connect(ctx, console))(t)
	defer conn.Close(context.WithoutCancel(ctx))
	tell := func(what string) {
		testkit.Must(conn.Exec(ctx, what))(t) // without arguments: the simple protocol, the only one of the console
	}
	tell("PAUSE")
	phone.watch = nil
	request := rand.Text()
	a, _ := phone.post(ctx, "/new", "name", "Paused phone", "platform", "android", "request", request)
	testkit.Equal(t, "status", a.status, http.StatusServiceUnavailable)
	testkit.Contains(t, "the page", a.body, "We cannot reach our records right now")
	list := testkit.Must(phone.get(ctx, "http://"+plainName+"/crl/issuing.crl"))(t)
	testkit.Equal(t, "the list", list.status, http.StatusOK)
	testkit.Eventually(t, "readiness is red", func() bool {
		err := c.portals[2].ready(ctx, "/readyz")
		return err != nil && strings.Contains(err.Error(), "503")
	})
	tell("RESUME")
	testkit.Eventually(t, "it issues again", func() bool {
		f, err := phone.enrolBy(ctx, "Paused phone", request)
		if err == nil {
			c.keep(f)
		}
		return err == nil
	})
}

// held is how many certificates people have in hand.
func (c *cluster) held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got)
}
