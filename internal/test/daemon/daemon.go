// Package daemon is shared by the packages that start real servers for tests, such as
// samba and slapd: server processes that end with the test binary, a cache for data that
// is slow to create, a CA for server certificates, and free loopback addresses.
//
// A package calls Need for the programs it requires, Cached for its prepared data, and Run
// for the process. It never uses a server that is already running on the machine. Tests
// are skipped when a program is missing, and fail when the environment has CI=true.
package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	readyWithin = 2 * time.Minute
	stopWithin  = 20 * time.Second
	probeEvery  = 20 * time.Millisecond
)

// Need skips the test when missing is not empty, and fails it with CI=true. missing names
// the program or permission that the test needs.
func Need(t testing.TB, missing string) {
	t.Helper()
	if missing == "" {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

// Program returns the path of a program on the PATH or in /usr/sbin, or "" when it is not
// installed.
func Program(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	path := filepath.Join("/usr/sbin", name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// Process is a running server.
type Process struct {
	cmd   *exec.Cmd
	log   output
	ended chan struct{}
}

// Run starts a server and waits until ready returns nil, 30 seconds at most. The server is
// killed when the test binary ends, unless the command has its own SysProcAttr. An error
// includes the output of the server.
func Run(ctx context.Context, cmd *exec.Cmd, ready func(context.Context) error) (*Process, error) {
	p := &Process{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = attributes()
	}
	if err := p.launch(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	if err := p.await(ctx, ready); err != nil {
		p.Stop()
		return nil, fmt.Errorf("waiting for %s: %w\n%s", cmd.Path, err, p.log.String())
	}
	return p, nil
}

// launch starts the server from a thread that lives until the server ends, because
// Pdeathsig is tied to the parent thread, not to the process.
func (p *Process) launch() error {
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
	return <-started
}

func (p *Process) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	probe := time.NewTicker(probeEvery)
	defer probe.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return errors.New("server ended early")
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-probe.C:
		}
	}
}

// Stop terminates the server with SIGTERM, then SIGKILL, and waits for its end. It may be
// called twice.
func (p *Process) Stop() { p.StopBy(syscall.SIGTERM) }

// StopBy is Stop with another signal, for servers that wait for their clients on SIGTERM.
func (p *Process) StopBy(signal os.Signal) {
	p.cmd.Process.Signal(signal)
	select {
	case <-p.ended:
	case <-time.After(stopWithin):
		p.Kill()
	}
}

// Pid is the number of the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Ended is closed when the server has ended, by itself too.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Signal sends a signal that does not end the server, such as SIGHUP.
func (p *Process) Signal(signal os.Signal) error { return p.cmd.Process.Signal(signal) }

// Kill ends the server with SIGKILL.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// Freeze stops the server with SIGSTOP: its connections stay open without responses until
// Thaw.
func (p *Process) Freeze() error { return signalStop(p.cmd.Process) }

// Thaw continues a frozen server.
func (p *Process) Thaw() error { return signalGo(p.cmd.Process) }

// output collects the output of a server, and can be read while the server writes.
type output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// Log returns what the server printed.
func (p *Process) Log() string { return p.log.String() }
