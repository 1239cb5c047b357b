package replicas

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// unprivileged is the account of PostgreSQL and Patroni when the tests run as root.
const unprivileged = 65534

// node is a PostgreSQL server under Patroni.
type node struct {
	t       testing.TB
	name    string
	address string // without a port
	folder  string
	running *daemon.Process // Patroni; nil when it does not run
}

// patroni is a PostgreSQL that fails over: nodes, etcd, and HAProxy that leads to the primary.
type patroni struct {
	t      testing.TB
	nodes  []*node
	behind string // address of the database behind HAProxy
	among  string // address that names all nodes
}

// newPatroni starts nodes with the configuration in the docs, and makes the database.
func newPatroni(t testing.TB, names ...string) *patroni {
	t.Helper()
	for _, program := range []string{"patroni", "etcd", "haproxy"} {
		if daemon.Program(program) == "" {
			daemon.Need(t, program+" is not installed")
		}
	}
	p := &patroni{t: t}
	hosts := etcd(t)
	for _, name := range names {
		p.nodes = append(p.nodes, newNode(t, name, hosts))
	}
	for n, one := range p.nodes {
		one.start()
		if n == 0 { // it makes the cluster, the others copy it
			testkit.Eventually(t, "a primary", func() bool { return p.primary() != nil })
		}
	}
	addresses := p.balance(t)
	p.behind, p.among = addresses[0], addresses[1]
	p.makeDatabase()
	p.synchronous()
	return p
}

// etcd starts etcd and returns its address.
func etcd(t testing.TB) string {
	t.Helper()
	client, peer := testkit.Must(daemon.FreeAddress())(t), "http://"+testkit.Must(daemon.FreeAddress())(t)
	cmd := exec.Command(daemon.Program("etcd"), "--data-dir", t.TempDir(), "--log-level", "error",
		"--listen-client-urls", "http://"+client, "--advertise-client-urls", "http://"+client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	process, err := daemon.Run(t.Context(), cmd, func(ctx context.Context) error { return daemon.Answers(ctx, "http://"+client+"/health") })
	testkit.NoError(t, err)
	t.Cleanup(process.Stop)
	return client
}

// newNode writes the configuration of a node.
func newNode(t testing.TB, name, hosts string) *node {
	t.Helper()
	n := &node{t: t, name: name}
	n.address = testkit.Must(daemon.Address(5432, 8008))(t)
	n.folder = testkit.Must(os.MkdirTemp("", "patroni"))(t) // t.TempDir is closed to its account
	t.Cleanup(func() { os.RemoveAll(n.folder) })
	config := fill(t, testkit.DocBlocks(t, "replicas.md", "yaml")[0], nil,
		"name: one", "name: "+name, "10.0.0.21", n.address, "10.0.0.31:2379,10.0.0.32:2379,10.0.0.33:2379", hosts,
		"/var/lib/postgresql/15/portal", n.folder+"/data", "/var/lib/postgresql", n.folder,
		"hostssl", "host", "ssl: true", "ssl: false", "10.0.0.0/24", "127.0.0.0/8",
		"        max_connections: 100", "        fsync: false\n        unix_socket_directories: ''\n        max_connections: 100")
	testkit.NoError(t, os.WriteFile(filepath.Join(n.folder, "config.yml"), []byte(config+"\n"), 0o600))
	if os.Getuid() == 0 {
		testkit.NoError(t, os.Chown(n.folder, unprivileged, unprivileged))
		testkit.NoError(t, os.Chown(filepath.Join(n.folder, "config.yml"), unprivileged, unprivileged))
	}
	t.Cleanup(func() {
		if t.Failed() && n.running != nil {
			t.Logf("Patroni %s:\n%s", n.name, n.running.Log())
		}
		n.kill()
	})
	return n
}

// start runs Patroni, which runs PostgreSQL. It is asked to end with the test program.
func (n *node) start() {
	n.t.Helper()
	cmd := exec.Command(daemon.Program("patroni"), filepath.Join(n.folder, "config.yml"))
	cmd.Dir, cmd.Env = n.folder, append(testkit.Environ(), "HOME="+n.folder)
	cmd.WaitDelay = time.Second // PostgreSQL has its output too
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: unprivileged, Gid: unprivileged}
	}
	running, err := daemon.Run(n.t.Context(), cmd, func(ctx context.Context) error { return daemon.Answers(ctx, n.rest("liveness")) })
	testkit.NoError(n.t, err)
	n.running = running
}

// kill ends Patroni and PostgreSQL as the loss of the machine would.
func (n *node) kill() {
	if n.running != nil {
		_ = n.running.Signal(syscall.SIGKILL) // first, or it would start PostgreSQL again
	}
	n.killPostgres()
	if n.running != nil {
		n.running.Kill()
		n.running = nil
	}
}

// killPostgres kills the server and its processes.
func (n *node) killPostgres() {
	content, err := os.ReadFile(filepath.Join(n.folder, "data", "postmaster.pid"))
	if err != nil {
		return
	}
	line, _, _ := strings.Cut(string(content), "\n")
	server, err := strconv.Atoi(line)
	program, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", server))
	if err != nil || program != filepath.Join(n.folder, "data") {
		return // it ended, and its number is that of another one
	}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", server, server))
	_ = syscall.Kill(server, syscall.SIGKILL)
	for child := range strings.FieldsSeq(string(children)) {
		if id, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(id, syscall.SIGKILL)
		}
	}
}

// rest is an address of Patroni's interface.
func (n *node) rest(path string) string { return "http://" + n.address + ":8008/" + path }

// primary is the node that takes writes; nil when there is none.
func (p *patroni) primary() *node {
	for _, n := range p.nodes {
		if daemon.Answers(p.t.Context(), n.rest("primary")) == nil {
			return n
		}
	}
	return nil
}

// synchronous waits until a standby confirms what the primary writes.
func (p *patroni) synchronous() {
	p.t.Helper()
	testkit.Eventually(p.t, "a synchronous standby", func() bool {
		for _, n := range p.nodes {
			if daemon.Answers(p.t.Context(), n.rest("synchronous")) == nil {
				return true
			}
		}
		return false
	})
}

// balance starts HAProxy with the configuration in the docs, and returns the addresses of the
// database that the docs show.
func (p *patroni) balance(t testing.TB) (addresses []string) {
	t.Helper()
	b := &balancer{name: "HAProxy of the database", secure: testkit.Must(daemon.FreeAddress())(t)}
	pairs := []string{"10.0.0.20:5432", b.secure}
	for n, server := range []string{"10.0.0.21", "10.0.0.22", "10.0.0.23"} {
		address := "127.77.0.2" // of a node that does not run
		if n < len(p.nodes) {
			address = p.nodes[n].address
		}
		pairs = append(pairs, server+":", address+":")
	}
	b.run(t, files{folder: t.TempDir()}, fill(t, testkit.DocBlocks(t, "replicas.md", "haproxy")[1], nil, pairs...)+"\n",
		daemon.Program("haproxy"), "-db", "-f")
	text := fill(t, testkit.DocBlocks(t, "replicas.md", "text")[0], nil,
		append(pairs, "sslmode=verify-full&sslrootcert=/etc/certportal/database-root.pem", "sslmode=disable")...)
	return strings.Fields(text)
}

// makeDatabase runs the statements in the docs on the primary.
func (p *patroni) makeDatabase() {
	p.t.Helper()
	db := testkit.Must(sql.Open("pgx", fmt.Sprintf("postgres://postgres:SUPERUSER-PASSWORD@%s:5432/postgres", p.primary().address)))(p.t)
	defer db.Close()
	for statement := range strings.SplitSeq(testkit.DocBlocks(p.t, "replicas.md", "sql")[0], ";") {
		if strings.TrimSpace(statement) != "" {
			testkit.Must(db.ExecContext(p.t.Context(), statement))(p.t)
		}
	}
}

// history is what the nodes think of each other, for the log of a test.
func (p *patroni) history() string {
	for _, n := range p.nodes {
		req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, n.rest("cluster"), nil)
		if err != nil {
			return err.Error()
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			continue
		}
		defer resp.Body.Close()
		var cluster struct {
			Members []struct {
				Name, Role, State string
				Timeline          int
			}
		}
		if json.NewDecoder(resp.Body).Decode(&cluster) == nil {
			return fmt.Sprintf("%+v", cluster.Members)
		}
	}
	return "no node answers"
}
