// Package power has disks that lose at a power loss what they were not asked to flush, and
// machines, for tests of what survives.
//
// [NewVolume] mounts such a disk on a folder of this machine.
//
// [New] makes a machine of QEMU, Debian's kernel for clouds, BusyBox and a static program. It
// has two disks with ext4: /disk and /witness, for notes that are compared afterwards. The program
// listens on 10.0.2.15; its ports are reached at 127.0.0.1 of the host. KVM is used where the
// machine has it; without it the processor is emulated, ten times slower.
package power

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// Each disk has room for some hundred cycles of a test.
const diskSize = 512 << 20

// Machine is a virtual machine, on or off.
type Machine struct {
	Disk *Disk

	t       testing.TB
	kernel  string
	initrd  string
	witness string // image of the disk for notes
	ports   []string
	process *daemon.Process
	console io.WriteCloser
}

// Config is what a machine runs.
type Config struct {
	Program string // static, for Linux; in the machine it is /program
	Script  string // for the shell, run at each start when the disks are there
	Ports   []string
}

// New makes a machine with empty disks. It skips the test where a machine cannot run.
func New(t testing.TB, c Config) *Machine {
	t.Helper()
	for _, p := range []string{"qemu-system-x86_64", "busybox", "mke2fs", "debugfs", "dpkg-deb", "apt-get"} {
		if daemon.Program(p) == "" {
			daemon.Need(t, p+" is not installed")
		}
	}
	kernel, err := kernel()
	if err != nil {
		daemon.Need(t, fmt.Sprintf("there is no kernel: %v", err))
	}
	m := &Machine{t: t, Disk: newDisk(t, diskSize), kernel: filepath.Join(kernel, "vmlinuz"), ports: c.Ports}
	m.initrd = testkit.Must(initrd(t.TempDir(), kernel, c))(t)
	m.witness = filepath.Join(t.TempDir(), "witness")
	testkit.NoError(t, os.WriteFile(m.witness, nil, 0o600))
	testkit.NoError(t, os.Truncate(m.witness, diskSize))
	for _, image := range []string{m.Disk.Path, m.witness} {
		if out, err := exec.Command(daemon.Program("mke2fs"), "-q", "-F", "-t", "ext4", image).CombinedOutput(); err != nil {
			t.Fatalf("making a file system: %v\n%s", err, out)
		}
	}
	t.Cleanup(m.off)
	return m
}

// Accelerated reports whether machines run on the processor, and are not emulated. Some
// machines in a cloud have /dev/kvm without an extension for it in the processor: kernels that
// were not adapted hang there.
func Accelerated() bool {
	processor, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || !regexp.MustCompile(`(?m)^flags\b.* (vmx|svm)\b`).Match(processor) {
		return false
	}
	device, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	return device.Close() == nil
}

// Start turns the machine on and waits until ready returns nil.
func (m *Machine) Start(ready func(context.Context) error) {
	m.t.Helper()
	accelerator := "tcg"
	if Accelerated() {
		accelerator = "kvm"
	}
	network := "user,id=net,restrict=on"
	for _, port := range m.ports {
		network += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%s-10.0.2.15:%s", port, port)
	}
	cmd := exec.Command(daemon.Program("qemu-system-x86_64"), "-nodefaults", "-no-user-config", "-no-reboot",
		"-display", "none", "-serial", "stdio", "-machine", "q35", "-accel", accelerator, "-cpu", "max", "-m", "768",
		"-kernel", m.kernel, "-initrd", m.initrd, "-append", "console=ttyS0 quiet panic=-1",
		"-netdev", network, "-device", "virtio-net-pci,netdev=net,romfile=",
		// Writes and flushes reach the disk as the kernel sends them.
		"-drive", "file="+m.Disk.address()+",format=raw,if=virtio,cache=writeback",
		"-drive", "file="+m.witness+",format=raw,if=virtio,cache=unsafe")
	// QEMU reads the console from a pipe, whose end in this process is the keyboard.
	m.console = testkit.Must(cmd.StdinPipe())(m.t)
	m.process = testkit.Must(daemon.Run(m.t.Context(), cmd, func(context.Context) error { return nil }))(m.t)
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for ready(m.t.Context()) != nil {
		select {
		case <-look.C: // for as long as it takes: an emulated processor on a busy machine is slow
		case <-m.process.Ended():
			m.t.Fatalf("the machine is off:\n%s", m.Log())
		case <-m.t.Context().Done():
			m.t.Fatalf("the portal is not ready:\n%s", m.Log())
		}
	}
}

func (m *Machine) off() {
	if m.process != nil {
		m.process.StopBy(syscall.SIGKILL)
		_ = m.console.Close()
		m.process = nil
	}
}

// Do has the shell run a line.
func (m *Machine) Do(line string) {
	m.t.Helper()
	testkit.Must(io.WriteString(m.console, line+"\n"))(m.t)
}

// Log is what the machine printed since it was turned on last.
func (m *Machine) Log() string {
	if m.process == nil {
		return ""
	}
	return m.process.Log()
}

// Shutdown ends the program of the script, whose process is $program, by a signal, and turns
// the machine off when the disks have everything. It returns what the machine printed.
func (m *Machine) Shutdown() string {
	m.t.Helper()
	m.Do("down")
	select {
	case <-m.process.Ended():
	case <-m.t.Context().Done():
	}
	log := m.Log()
	m.off()
	if !strings.Contains(log, "disks are clean") {
		m.t.Fatalf("the machine did not end well:\n%s", log)
	}
	m.Disk.mu.Lock()
	defer m.Disk.mu.Unlock()
	testkit.NoError(m.t, m.Disk.flush())
	return log
}

// Extract copies a folder of /disk into one of the host, and the notes of /witness into
// another. The machine must be shut down.
func (m *Machine) Extract(folder, data, notes string) {
	m.t.Helper()
	for _, copied := range []struct{ image, from, to string }{{m.Disk.Path, "/" + folder, data}, {m.witness, "/", notes}} {
		temporary := m.t.TempDir()
		out, err := exec.Command(daemon.Program("debugfs"), "-R", fmt.Sprintf("rdump %s %s", copied.from, temporary), copied.image).CombinedOutput()
		if err != nil {
			m.t.Fatalf("reading a disk: %v\n%s", err, out)
		}
		testkit.NoError(m.t, os.RemoveAll(copied.to))
		testkit.NoError(m.t, os.Rename(filepath.Join(temporary, copied.from), copied.to))
	}
	testkit.NoError(m.t, os.RemoveAll(filepath.Join(notes, "lost+found")))
}

// Free returns ports of the host for a machine.
func Free(t testing.TB, n int) (ports []string) {
	t.Helper()
	for range n {
		_, port, err := net.SplitHostPort(testkit.Must(daemon.FreeAddress())(t))
		testkit.NoError(t, err)
		ports = append(ports, port)
	}
	return slices.Clip(ports)
}
