// Package daemon holds what the kits of real counterparts share: a server
// process that ends with the test program, a cache for what takes long to make,
// a certification authority for the test, and free loopback addresses.
//
// It refuses to use a server that runs already: its data may be dear to
// somebody. Where a program is absent tests are skipped, and fail when the
// environment says CI=true.
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
	readyWithin = 30 * time.Second
	stopWithin  = 20 * time.Second
	probeEvery  = 20 * time.Millisecond
)

// Need ends the test when something it talks to is absent: missing says what,
// empty that nothing is. The test is skipped, and fails with CI=true.
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

// Program finds an installed program on the PATH or where Debian keeps servers;
// empty when it is absent.
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

// Process is a server that runs.
type Process struct {
	cmd   *exec.Cmd
	log   output
	ended chan struct{}
}

// Run starts a server and waits until ready says nil, 30 seconds at most. Without
// SysProcAttr of its own the command ends with the test program. The error of a server that ends early or never gets ready carries what it wrote.
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

// launch starts the server from a thread that lives until the server ends: the
// signal on the parent's death is tied to the thread, not to the program.
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

// Stop asks the server to end, kills it when it does not, and returns when it
// is gone. It may be called twice.
func (p *Process) Stop() { p.StopBy(syscall.SIGTERM) }

// StopBy is Stop with another signal, for servers to which SIGTERM means to wait
// for their clients.
func (p *Process) StopBy(signal os.Signal) {
	p.cmd.Process.Signal(signal)
	select {
	case <-p.ended:
	case <-time.After(stopWithin):
		p.Kill()
	}
}

// Signal sends a signal that does not end the server, such as the one to read its
// settings again.
func (p *Process) Signal(signal os.Signal) error { return p.cmd.Process.Signal(signal) }

// Kill ends the server without warning, as a power cut does.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// Freeze stops the server where it stands: its connections stay open and nobody
// answers on them, until Thaw.
func (p *Process) Freeze() error { return signalStop(p.cmd.Process) }

// Thaw lets a frozen server go on.
func (p *Process) Thaw() error { return signalGo(p.cmd.Process) }

// output keeps what a server wrote. Its buffer is read while the server writes.
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
