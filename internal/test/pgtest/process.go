package pgtest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"certportal/internal/test/daemon"
)

// process is a running server.
type process struct {
	folder string
	port   int
	server *daemon.Process // nil before it runs

	program, data string
	options       []string
}

func (p *process) address(database string) string {
	return fmt.Sprintf("postgres://portal@127.0.0.1:%d/%s?sslmode=disable", p.port, database)
}

func start(initdb, postgres string, options []string) (*process, error) {
	folder, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	p := &process{folder: folder, options: options}
	if err := p.run(initdb, postgres); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func (p *process) run(initdb, postgres string) error {
	data := filepath.Join(p.folder, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	if err := handOver(p.folder, data); err != nil {
		return err
	}
	init := exec.Command(initdb, "-D", data, "-U", "portal", "--auth=trust", "-N", "-E", "UTF8", "--no-locale")
	init.Dir = p.folder
	init.SysProcAttr = attributes()
	if output, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("running initdb: %w\n%s", err, output)
	}
	var err error
	if p.port, err = daemon.Port(); err != nil {
		return err
	}
	p.program, p.data = postgres, data
	return p.serve()
}

// serve starts the server on the port.
func (p *process) serve() (err error) {
	cmd := exec.Command(p.program, "-D", p.data, "-p", strconv.Itoa(p.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "autovacuum=off", "-c", "wal_level=minimal",
		"-c", "max_wal_senders=0", "-c", "max_connections=200")
	for _, option := range p.options { // the last of a name has precedence
		cmd.Args = append(cmd.Args, "-c", option)
	}
	cmd.Dir, cmd.SysProcAttr = p.folder, attributes()
	p.server, err = daemon.Run(context.Background(), cmd, p.answers)
	return err
}

// demote lets the next start be that of a standby.
func (p *process) demote() error {
	signal := filepath.Join(p.data, "standby.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		return err
	}
	return handOver(p.folder, signal)
}

func (p *process) answers(ctx context.Context) error {
	db, err := sql.Open("pgx", p.address("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(ctx)
}

// stop asks the server to end without waiting for its clients, and removes its
// folder.
func (p *process) stop() {
	if p.server != nil {
		p.server.StopBy(os.Interrupt)
	}
	os.RemoveAll(p.folder)
}
