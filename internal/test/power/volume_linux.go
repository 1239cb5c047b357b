package power

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// Volume is a folder of this machine with ext4 on a [Disk]. The kernel is that of the machine:
// what a program wrote is in its memory until fsync sends it to the disk and has it flushed.
// QEMU's storage daemon shows the disk as a file, which is mounted. It needs root.
type Volume struct {
	Disk   *Disk
	Folder string

	t       testing.TB
	export  string // the disk as a file
	process *daemon.Process
	loop    string
}

// NewVolume mounts an empty disk on a folder until the end of the test.
func NewVolume(t testing.TB, folder string) *Volume {
	t.Helper()
	if os.Geteuid() != 0 {
		daemon.Need(t, "mounting a disk needs root")
	}
	for _, p := range []string{"qemu-storage-daemon", "mke2fs", "losetup", "mount"} {
		if daemon.Program(p) == "" {
			daemon.Need(t, p+" is not installed")
		}
	}
	for _, device := range []string{"/dev/fuse", "/dev/loop-control"} {
		if _, err := os.Stat(device); err != nil {
			daemon.Need(t, err.Error())
		}
	}
	v := &Volume{Disk: newDisk(t, diskSize), Folder: folder, t: t, export: filepath.Join(t.TempDir(), "export")}
	testkit.NoError(t, runIn("/", daemon.Program("mke2fs"), "-q", "-F", "-t", "ext4", v.Disk.Path))
	testkit.NoError(t, os.WriteFile(v.export, nil, 0o600))
	testkit.NoError(t, os.MkdirAll(folder, 0o700))
	t.Cleanup(v.close)
	v.mount()
	testkit.NoError(t, os.RemoveAll(filepath.Join(folder, "lost+found")))
	testkit.NoError(t, os.Chmod(folder, 0o700))
	return v
}

// Cut cuts the power: from then on nothing reaches the disk. kill must end all processes that
// use the folder, without their consent. Then it mounts what is left.
func (v *Volume) Cut(loss Loss, kill func()) {
	v.t.Helper()
	v.process.StopBy(syscall.SIGKILL)
	kill()
	v.forget()
	v.unmount()
	v.Disk.lose(loss)
	v.mount()
}

func (v *Volume) mount() {
	v.t.Helper()
	host, port, err := net.SplitHostPort(v.Disk.listener.Addr().String())
	testkit.NoError(v.t, err)
	cmd := exec.Command(daemon.Program("qemu-storage-daemon"),
		"--blockdev", fmt.Sprintf("driver=nbd,node-name=disk,server.type=inet,server.host=%s,server.port=%s", host, port),
		"--export", "type=fuse,id=disk,node-name=disk,writable=on,mountpoint="+v.export)
	v.process = testkit.Must(daemon.Run(context.WithoutCancel(v.t.Context()), cmd, func(context.Context) error {
		if info, err := os.Stat(v.export); err != nil || info.Size() != v.Disk.size {
			return errors.Join(errors.New("the disk is not there yet"), err)
		}
		return nil
	}))(v.t)
	out, err := exec.Command(daemon.Program("losetup"), "--find", "--show", v.export).CombinedOutput()
	if err != nil {
		v.t.Fatalf("making a device of the disk: %v\n%s", err, out)
	}
	v.loop = strings.TrimSpace(string(out))
	testkit.NoError(v.t, runIn("/", daemon.Program("mount"), "-t", "ext4", v.loop, v.Folder))
}

// forget has the kernel drop what it did not write. FS_IOC_SHUTDOWN without a flush of the
// journal is made for such tests; a disk that is gone may have ended the file system already.
func (v *Volume) forget() {
	const shutdown, noFlush = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	folder, err := os.Open(v.Folder)
	if err != nil {
		return
	}
	defer folder.Close()
	_ = unix.IoctlSetPointerInt(int(folder.Fd()), shutdown, noFlush)
}

// unmount undoes mount, as far as it came.
func (v *Volume) unmount() {
	v.t.Helper()
	if v.loop != "" {
		testkit.NoError(v.t, runIn("/", daemon.Program("umount"), v.Folder))
		testkit.NoError(v.t, runIn("/", daemon.Program("losetup"), "--detach", v.loop))
		v.loop = ""
	}
	v.process.Stop() // SIGTERM: it flushes
	_ = syscall.Unmount(v.export, syscall.MNT_DETACH)
}

func (v *Volume) close() {
	if v.process != nil {
		v.unmount()
	}
}
