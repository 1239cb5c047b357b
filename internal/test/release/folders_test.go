package release

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"certportal/internal/test/daemon"
)

// debian returns a folder with a minimal Debian, made once and then copied.
func debian() (string, error) {
	return daemon.Cached("debian-bookworm-1", func(folder string) error {
		mirror, err := mirror()
		if err != nil {
			return err
		}
		return command("env", "-u", "TMPDIR", "debootstrap", "--variant=minbase", "bookworm", folder, mirror)
	})
}

// mirror is where this machine gets its own packages.
func mirror() (string, error) {
	out, err := exec.Command("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("asking apt for its mirror: %w", err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return first, nil
}

// copySource copies the files of the module, without what is hidden.
func copySource(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("reading the module: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if err := command("cp", "-r", filepath.Join(from, e.Name()), to); err != nil {
			return err
		}
	}
	return nil
}

// command runs a program; its output is in the error.
func command(name string, args ...string) error {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out.String())
	}
	return nil
}
