package pgtest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second
	probeEvery   = 50 * time.Millisecond
)

// process is a running server.
type process struct {
	folder string
	port   int
	cmd    *exec.Cmd
	output bytes.Buffer
	ended  chan struct{}
}

func (p *process) address(database string) string {
	return fmt.Sprintf("postgres://portal@127.0.0.1:%d/%s?sslmode=disable", p.port, database)
}

func start(initdb, postgres string) (*process, error) {
	folder, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	p := &process{folder: folder, ended: make(chan struct{})}
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
	port, err := freePort()
	if err != nil {
		return err
	}
	p.port = port
	p.cmd = exec.Command(postgres, "-D", data, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "autovacuum=off", "-c", "wal_level=minimal",
		"-c", "max_wal_senders=0", "-c", "max_connections=200")
	p.cmd.Dir = p.folder
	p.cmd.SysProcAttr = attributes()
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.launch(); err != nil {
		return err
	}
	return p.waitReady()
}

// launch starts the server from a thread that lives until the server ends: the
// signal on the parent's death is tied to the thread, not to the program.
func (p *process) launch() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.ended)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		p.cmd = nil
		return err
	}
	return nil
}

func (p *process) waitReady() error {
	db, err := sql.Open("pgx", p.address("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	probe := time.NewTicker(probeEvery)
	defer probe.Stop()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("server ended early:\n%s", p.output.String())
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-probe.C:
		}
	}
}

// stop asks the server to end without waiting for its clients, and removes its
// folder.
func (p *process) stop() {
	if p.cmd != nil {
		p.cmd.Process.Signal(os.Interrupt)
		select {
		case <-p.ended:
		case <-time.After(stopTimeout):
			p.cmd.Process.Kill()
			<-p.ended
		}
	}
	os.RemoveAll(p.folder)
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
