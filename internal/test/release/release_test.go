package release

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

const module = "../../.."

// TestRelease makes two versions, the older twice from different folders, and tries what
// came of it.
func TestRelease(t *testing.T) {
	if testing.Short() {
		t.Skip("links the program three times")
	}
	for _, p := range []string{"debootstrap", "dpkg", "rpm", "systemd-analyze"} {
		if daemon.Program(p) == "" {
			daemon.Need(t, p+" is not installed")
		}
	}
	if os.Geteuid() != 0 {
		daemon.Need(t, "only root can install packages")
	}
	elsewhere := t.TempDir()
	if err := copySource(module, elsewhere); err != nil {
		t.Fatal(err)
	}
	older, again, newer := release(t, module, "1.0.0"), release(t, elsewhere, "1.0.0"), release(t, module, "1.1.0")
	t.Run("the same source gives the same bytes", func(t *testing.T) { sameBytes(t, older, again, newer) })
	t.Run("list of parts", func(t *testing.T) { listOfParts(t, older) })
	t.Run("licences", func(t *testing.T) { licences(t, older) })
	t.Run("rpm", func(t *testing.T) { rpm(t, older) })
	t.Run("debian", func(t *testing.T) { debianPackage(t, older, newer) })
}

// release runs scripts/release of a folder for the processor of this machine.
func release(t *testing.T, source, version string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "release")
	cmd := exec.Command(filepath.Join(source, "scripts", "release"), version, out)
	cmd.Env = append(os.Environ(), "ARCHES="+runtime.GOARCH, "SOURCE_DATE_EPOCH=1700000000")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("scripts/release %s: %v\n%s", version, err, text)
	}
	return out
}

// sameBytes compares the sums, which sha256sum finds right.
func sameBytes(t *testing.T, older, again, newer string) {
	for _, folder := range []string{older, newer} {
		cmd := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
		cmd.Dir = folder
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	sums := func(folder string) string {
		return string(testkit.Must(os.ReadFile(filepath.Join(folder, "SHA256SUMS")))(t))
	}
	if got, want := sums(again), sums(older); got != want {
		t.Errorf("from another folder:\n%s\nwant\n%s", got, want)
	}
	if got, want := strings.Count(sums(older), "\n"), 5; got != want {
		t.Errorf("%d sums, want %d: program, list of parts, licences, deb, rpm\n%s", got, want, sums(older))
	}
}

// one is the only file of a folder that matches.
func one(t *testing.T, folder, pattern string) string {
	t.Helper()
	found := testkit.Must(filepath.Glob(filepath.Join(folder, pattern)))(t)
	if len(found) != 1 {
		t.Fatalf("%s: %q", pattern, found)
	}
	return found[0]
}

// The list of parts names every module that the program is linked of.
func listOfParts(t *testing.T, folder string) {
	var bom struct {
		Metadata   struct{ Component struct{ Version string } }
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal(testkit.Must(os.ReadFile(one(t, folder, "*.cdx.json")))(t), &bom); err != nil {
		t.Fatal(err)
	}
	if got, want := bom.Metadata.Component.Version, "1.0.0"; got != want {
		t.Errorf("version %q, want %q", got, want)
	}
	listed := map[string]bool{}
	for _, c := range bom.Components {
		listed[c.Name+" "+c.Version] = true
	}
	for _, part := range parts(t, folder) {
		if !listed[part] {
			t.Errorf("%s is not listed", part)
		}
	}
}

// parts are the modules that the program says to be linked of, as "path version".
func parts(t *testing.T, folder string) []string {
	t.Helper()
	built := output(t, "go", "version", "-m", one(t, folder, "certportal-1.0.0-linux-"+runtime.GOARCH))
	var list []string
	for _, m := range regexp.MustCompile(`(?m)^\tdep\t(\S+)\t(\S+)`).FindAllStringSubmatch(built, -1) {
		list = append(list, m[1]+" "+m[2])
	}
	if len(list) < 10 {
		t.Fatalf("%d modules in\n%s", len(list), built)
	}
	return list
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Debian's rpm finds the sums right, and reads the files and what is done at the installation.
func rpm(t *testing.T, folder string) {
	file := one(t, folder, "*.rpm")
	output(t, "rpm", "--checksig", "--nosignature", file)
	if got, want := output(t, "rpm", "-qp", "--queryformat", "%{NAME} %{VERSION} %{BUILDTIME}", file), "certportal 1.0.0 1700000000"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	files := output(t, "rpm", "-qp", "--queryformat", "[%{FILENAMES} %{FILEMODES:octal} %{FILEUSERNAME}\n]", file)
	for _, want := range []string{
		"/usr/bin/certportal 100755 root", "/usr/lib/systemd/system/certportal.service 100644 root", "/etc/certportal/certportal.yaml 100644 root",
		"/usr/share/man/man8/certportal.8.gz 100644 root", "/usr/share/doc/certportal/copyright 100644 root", "/usr/share/zsh/site-functions/_certportal 100644 root",
	} {
		if !strings.Contains(files, want+"\n") {
			t.Errorf("%q is not in\n%s", want, files)
		}
	}
	if got := output(t, "rpm", "-qpc", file); got != "/etc/certportal/certportal.yaml\n" {
		t.Errorf("kept at an upgrade: %q", got)
	}
	if got := output(t, "rpm", "-qp", "--scripts", file); !strings.Contains(got, "useradd --system") {
		t.Errorf("no account is made:\n%s", got)
	}
}

// unitIsHardened lets systemd-analyze judge the unit of the package: with the program where
// it is in this folder, since the targets are those of this machine.
func unitIsHardened(t *testing.T, root string) {
	unit := filepath.Join(root, "usr/lib/systemd/system/certportal.service")
	copied := filepath.Join(t.TempDir(), "certportal.service")
	text := strings.ReplaceAll(string(testkit.Must(os.ReadFile(unit))(t)), "/usr/bin/certportal", filepath.Join(root, "usr/bin/certportal"))
	if err := os.WriteFile(copied, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(output(t, "systemd-analyze", "verify", "--man=no", copied)) {
		if strings.Contains(line, "certportal") { // not of the other units of this machine
			t.Errorf("verify says: %s", line)
		}
	}
	text = output(t, "systemd-analyze", "security", "--offline=true", "--no-pager", unit)
	m := regexp.MustCompile(`exposure level for certportal.service: ([0-9.]+)`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no level in\n%s", text)
	}
	if level := testkit.Must(strconv.ParseFloat(m[1], 64))(t); level > 1.5 {
		t.Errorf("exposure %v, want 1.5 at most", level)
	}
}
