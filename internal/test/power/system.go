package power

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"certportal/internal/test/daemon"
)

// kernel returns a folder with the newest kernel of the package sources, vmlinuz, and its
// modules. It is downloaded once, and not installed.
func kernel() (string, error) {
	about, err := exec.Command("apt-cache", "show", "--no-all-versions", "linux-image-cloud-amd64").Output()
	if err != nil {
		return "", fmt.Errorf("asking for linux-image-cloud-amd64: %w", err)
	}
	found := regexp.MustCompile(`(?m)^Depends: (linux-image-\S+) \(= (\S+)\)`).FindSubmatch(about)
	if found == nil {
		return "", errors.New("linux-image-cloud-amd64 names no kernel")
	}
	name, version := string(found[1]), string(found[2])
	return daemon.Cached(name+"-"+version, func(folder string) error {
		if err := runIn(folder, "apt-get", "-o", "APT::Sandbox::User=root", "download", name+"="+version); err != nil {
			return err
		}
		packages, err := filepath.Glob(filepath.Join(folder, "*.deb"))
		if err != nil || len(packages) != 1 {
			return fmt.Errorf("downloaded %v: %w", packages, err)
		}
		if err := runIn(folder, "dpkg-deb", "-x", packages[0], "."); err != nil {
			return err
		}
		kernels, err := filepath.Glob(filepath.Join(folder, "boot", "vmlinuz-*"))
		if err != nil || len(kernels) != 1 {
			return fmt.Errorf("unpacked %v: %w", kernels, err)
		}
		return errors.Join(os.Rename(kernels[0], filepath.Join(folder, "vmlinuz")), os.Remove(packages[0]))
	})
}

func runIn(folder string, command ...string) error {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", command[0], err, out)
	}
	return nil
}

// initScript is the first process of the machine. Disks and network are those that QEMU gives.
const initScript = `#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
stty -echo
while read -r module; do insmod /modules/$module; done </modules/order
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
mount -t ext4 /dev/vda /disk && mount -t ext4 /dev/vdb /witness || { echo "no disks"; poweroff -f; }
down() {
	[ -z "$program" ] || { kill "$program"; wait "$program"; }
	umount /disk && umount /witness && echo "disks are clean"
	poweroff -f
}
. /start
while read -r line; do eval "$line"; done
poweroff -f
`

// initrd makes the file system in memory from which the machine starts.
func initrd(folder, kernel string, c Config) (string, error) {
	root, image := filepath.Join(folder, "root"), filepath.Join(folder, "initrd")
	for _, name := range []string{"bin", "proc", "sys", "dev", "tmp", "disk", "witness", "modules"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			return "", err
		}
	}
	for name, content := range map[string]string{"init": initScript, "start": c.Script} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o755); err != nil {
			return "", err
		}
	}
	for from, to := range map[string]string{daemon.Program("busybox"): "bin/busybox", c.Program: "program"} {
		if err := copyFile(from, filepath.Join(root, to)); err != nil {
			return "", err
		}
	}
	if err := addModules(kernel, filepath.Join(root, "modules")); err != nil {
		return "", err
	}
	archive := `find . | busybox cpio -o -H newc >"$0"`
	return image, errors.Join(runIn(root, "sh", "-c", archive, image), os.RemoveAll(root))
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o755)
}

// addModules copies the drivers of QEMU's devices with the modules that they need, and writes
// the order in which they are loaded.
func addModules(kernel, folder string) error {
	paths := map[string]string{}
	err := filepath.WalkDir(filepath.Join(kernel, "lib"), func(path string, _ fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(filepath.Base(path), ".ko"); ok {
			paths[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	if err != nil {
		return err
	}
	var order []string
	done := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		if done[name] || paths[name] == "" { // or part of the kernel
			return nil
		}
		done[name] = true
		needed, err := dependencies(paths[name])
		for _, n := range needed {
			err = errors.Join(err, add(n))
		}
		order = append(order, filepath.Base(paths[name]))
		return errors.Join(err, copyFile(paths[name], filepath.Join(folder, filepath.Base(paths[name]))))
	}
	for _, driver := range []string{"virtio_pci", "virtio_blk", "virtio_net"} {
		if err := add(driver); err != nil {
			return fmt.Errorf("adding module %s: %w", driver, err)
		}
	}
	return os.WriteFile(filepath.Join(folder, "order"), []byte(strings.Join(order, "\n")+"\n"), 0o644)
}

// dependencies are the modules that a module needs, as it says itself.
func dependencies(path string) ([]string, error) {
	module, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer module.Close()
	section := module.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("%s has no .modinfo", path)
	}
	info, err := section.Data()
	for _, field := range strings.Split(string(info), "\x00") {
		if list, ok := strings.CutPrefix(field, "depends="); ok && list != "" {
			return strings.Split(strings.ReplaceAll(list, "-", "_"), ","), err
		}
	}
	return nil, err
}
