package release

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// image is the last stage of the Dockerfile, put into a folder by hand.
type image struct {
	t                 *testing.T
	root, data        string
	user, environment string
	entry, cmd        []string
	health            []string
	copied            map[string]string // where the files of the stage "build" are, by their paths there
}

// TestContainer builds the static program with the line of the Dockerfile, makes the file
// system of the last stage of it, and runs the portal there: as its account, with a root
// that cannot be written to. Its health check is asked. Then buildah makes an image of that
// stage, and runc runs it. The stages that compile are not run: their images need a registry.
func TestContainer(t *testing.T) {
	if testing.Short() {
		t.Skip("links the program")
	}
	if os.Geteuid() != 0 || daemon.Program("unshare") == "" {
		daemon.Need(t, "root and unshare are needed for a root of its own")
	}
	text := string(testkit.Must(os.ReadFile(filepath.Join(module, "Dockerfile")))(t))
	i := stage(t, text)
	ops := testkit.Must(daemon.FreeAddress())(t)
	settings := []string{
		"CERTPORTAL_ORGANIZATION=Contoso", "CERTPORTAL_PUBLIC_URL=https://certificates.corp.example", "CERTPORTAL_PUBLIC_HTTP_URL=http://pki.corp.example",
		"CERTPORTAL_LISTEN=127.0.0.1:0", "CERTPORTAL_LISTEN_HTTP=127.0.0.1:0", "CERTPORTAL_LISTEN_CHECK=127.0.0.1:0", "CERTPORTAL_LISTEN_OPS=" + ops,
	}
	if out, err := i.command(i.health, settings).CombinedOutput(); err == nil {
		t.Errorf("without a portal the health check is content: %s", out)
	}
	p, err := daemon.Run(t.Context(), i.command(append(i.entry, i.cmd...), settings), func(ctx context.Context) error { return daemon.Answers(ctx, "http://"+ops+"/readyz") })
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	if out, err := i.command(i.health, settings).CombinedOutput(); err != nil {
		t.Errorf("health check: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(i.data, "ca", "issuing.crt")); err != nil {
		t.Errorf("the CA is not in the volume: %v", err)
	}
	if out, err := i.command([]string{"/certportal", "--data", "/elsewhere", "ca", "init"}, settings).CombinedOutput(); err == nil || !strings.Contains(string(out), "read-only file system") {
		t.Errorf("the root can be written to: %v\n%s", err, out)
	}
	p.Stop()
	t.Run("image", func(t *testing.T) { imageRuns(t, i, text) })
}

// stage carries out the last stage of the Dockerfile.
func stage(t *testing.T, text string) *image {
	t.Helper()
	i := &image{t: t, root: filepath.Join(t.TempDir(), "root"), data: filepath.Join(t.TempDir(), "data"), copied: map[string]string{}}
	for _, folder := range []string{i.root, i.data} {
		testkit.NoError(t, os.Mkdir(folder, 0o755))
	}
	last := text[strings.LastIndex(text, "\nFROM ")+1:]
	if !strings.HasPrefix(last, "FROM scratch AS static\n") {
		t.Fatalf("the last stage is another:\n%s", last)
	}
	for line := range strings.Lines(last) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "COPY":
			i.copy(text, strings.Fields(rest))
		case "USER":
			i.user = rest
		case "ENV":
			i.environment = rest
		case "ENTRYPOINT":
			i.entry = words(t, rest)
		case "CMD":
			i.cmd = words(t, rest)
		case "HEALTHCHECK":
			_, command, _ := strings.Cut(rest, "CMD ")
			i.health = words(t, command)
		}
	}
	return i
}

func words(t *testing.T, text string) []string {
	t.Helper()
	var list []string
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return list
}

// copy puts a file of the stage "build" into the root: the program is compiled, the data
// folder is the volume.
func (i *image) copy(text string, args []string) {
	i.t.Helper()
	from, to := args[len(args)-2], filepath.Join(i.root, args[len(args)-1])
	testkit.NoError(i.t, os.MkdirAll(filepath.Dir(to), 0o755))
	i.copied[from] = to
	switch from {
	case "/out/certportal":
		line := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 .* go build .*)$`).FindStringSubmatch(text)
		if line == nil {
			i.t.Fatal("no line builds the static program")
		}
		build := exec.Command("sh", "-c", strings.ReplaceAll(line[1], from, to))
		build.Dir, build.Env = module, append(os.Environ(), "VERSION=container", "TARGETARCH="+runtime.GOARCH)
		if out, err := build.CombinedOutput(); err != nil {
			i.t.Fatalf("%s: %v\n%s", line[1], err, out)
		}
	case "/out/copyright":
		text := licenceTexts(i.t)
		testkit.NoError(i.t, os.WriteFile(to, []byte(text), 0o644))
	case "/out/data":
		owner := strings.TrimPrefix(args[1], "--chown=")
		testkit.NoError(i.t, os.Mkdir(to, 0o700))
		testkit.NoError(i.t, command("chown", owner, i.data))
		testkit.NoError(i.t, os.Chmod(i.data, 0o700))
	default:
		testkit.NoError(i.t, command("cp", from, to)) // the list of public CAs, as in Debian
	}
}

// command runs words in the image: its root read-only, the volume at /data.
func (i *image) command(words, environ []string) *exec.Cmd {
	script := fmt.Sprintf("mount --bind %[1]s %[1]s && mount --bind %[2]s %[1]s/data && mount -o remount,ro,bind %[1]s && exec chroot --userspec=%[3]s --groups= %[1]s \"$@\"",
		i.root, i.data, i.user)
	cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, "sh"}, words...)...)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", i.environment}, environ...)
	return cmd
}
