package release

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// maxImage is how large the static image may be as registries keep and send it, compressed.
const maxImage = 30 << 20

// imageConfig is what an image says about its container.
type imageConfig struct {
	User, WorkingDir     string
	Env, Entrypoint, Cmd []string
	ExposedPorts         map[string]struct{}
	Volumes              map[string]struct{}
	Healthcheck          struct{ Test []string }
}

// builtImage lets buildah make an image of the last stage of the Dockerfile, from the files that
// i was laid out of: the stages before it compile them, and need a registry. It returns what the
// image says, and unpacks its files.
func builtImage(t *testing.T, i *image, text, root string) imageConfig {
	t.Helper()
	folder := t.TempDir()
	files, archive := filepath.Join(folder, "files"), filepath.Join(folder, "image.tar")
	for from, at := range i.copied {
		to := filepath.Join(files, from)
		testkit.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
		testkit.NoError(t, command("cp", "-a", at, to))
	}
	last := text[strings.LastIndex(text, "\nFROM ")+1:]
	testkit.NoError(t, os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte("FROM scratch AS build\nCOPY . /\n"+last), 0o644))
	buildah := func(args ...string) {
		t.Helper()
		store := []string{"--root", filepath.Join(folder, "store"), "--runroot", filepath.Join(folder, "run"), "--storage-driver", "vfs"}
		testkit.NoError(t, command("buildah", append(store, args...)...))
	}
	buildah("bud", "--isolation", "chroot", "--format", "docker", "--tag", "certportal", "--file", filepath.Join(folder, "Dockerfile"), files)
	buildah("push", "certportal", "docker-archive:"+archive)

	testkit.NoError(t, os.Mkdir(filepath.Join(folder, "parts"), 0o755))
	testkit.NoError(t, command("tar", "xf", archive, "-C", filepath.Join(folder, "parts")))
	var manifest []struct {
		Config string
		Layers []string
	}
	var said struct{ Config imageConfig }
	read := func(name string, value any) {
		t.Helper()
		testkit.NoError(t, json.Unmarshal(testkit.Must(os.ReadFile(filepath.Join(folder, "parts", name)))(t), value))
	}
	read("manifest.json", &manifest)
	read(manifest[0].Config, &said)
	for _, layer := range manifest[0].Layers {
		name := filepath.Join(folder, "parts", layer)
		filesOfImage(t, name)
		testkit.NoError(t, command("tar", "xpf", name, "--same-owner", "-C", root))
	}
	return said.Config
}

// filesOfImage are the program, the public CAs and the licences, and a folder for data; nothing
// that runs but the program.
func filesOfImage(t *testing.T, layer string) {
	t.Helper()
	file := testkit.Must(os.Open(layer))(t)
	defer file.Close()
	var size int64
	var names []string
	sent := new(counted)
	packed := gzip.NewWriter(sent)
	for in := tar.NewReader(io.TeeReader(file, packed)); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		testkit.NoError(t, err)
		size += h.Size
		if h.Typeflag == tar.TypeDir && (h.Name == "data/") == (h.Uid == 0) {
			t.Errorf("%s belongs to %d", h.Name, h.Uid)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		names = append(names, h.Name)
		if h.Typeflag != tar.TypeReg || h.Uid != 0 || h.Mode&0o7022 != 0 {
			t.Errorf("%s: type %c, owner %d, mode %o", h.Name, h.Typeflag, h.Uid, h.Mode)
		}
		if runs := h.Mode&0o111 != 0; runs != (h.Name == "certportal") {
			t.Errorf("%s: mode %o", h.Name, h.Mode)
		}
	}
	slices.Sort(names)
	testkit.Equal(t, "files", fmt.Sprint(names), "[certportal etc/ssl/certs/ca-certificates.crt usr/share/doc/certportal/copyright]")
	testkit.NoError(t, packed.Close())
	if *sent > maxImage {
		t.Errorf("%d bytes compressed, want %d at most", *sent, maxImage)
	}
	t.Logf("the image holds %d files of %d bytes, %d compressed", len(names), size, *sent)
}

// counted counts what is written.
type counted int64

func (c *counted) Write(b []byte) (int, error) {
	*c += counted(len(b))
	return len(b), nil
}

// imageRuns builds the image, and runs it by runc as `docker run --read-only --cap-drop=ALL
// --security-opt=no-new-privileges --network none` would.
func imageRuns(t *testing.T, i *image, text string) {
	for _, p := range []string{"buildah", "runc"} {
		if daemon.Program(p) == "" {
			daemon.Need(t, p+" is not installed")
		}
	}
	bundle, data := t.TempDir(), t.TempDir()
	root := filepath.Join(bundle, "rootfs")
	testkit.NoError(t, os.Mkdir(root, 0o755))
	said := builtImage(t, i, text, root)
	testkit.Equal(t, "user", said.User, "65532:65532")
	testkit.Equal(t, "program", fmt.Sprint(said.Entrypoint, said.Cmd), "[/certportal] [serve]")
	testkit.Equal(t, "health check", fmt.Sprint(said.Healthcheck.Test), "[CMD /certportal health]")
	testkit.Equal(t, "volume and ports", fmt.Sprint(said.Volumes, said.ExposedPorts), "map[/data:{}] map[8080/tcp:{} 8443/tcp:{} 8444/tcp:{}]")
	testkit.NoError(t, os.Chown(data, 65532, 65532))
	testkit.NoError(t, os.Chmod(data, 0o700))

	writeBundle(t, bundle, data, said)
	const id = "certportal-of-the-image"
	runc := func(args ...string) *exec.Cmd {
		cmd := exec.Command("runc", append([]string{"--root", filepath.Join(bundle, "state")}, args...)...)
		cmd.Dir = bundle
		return cmd
	}
	t.Cleanup(func() { runc("delete", "--force", id).Run() }) // also when runc itself was killed
	health := func() ([]byte, error) {
		return runc(append([]string{"exec", id}, append(said.Healthcheck.Test[1:], "--ready")...)...).CombinedOutput()
	}
	p, err := daemon.Run(t.Context(), runc("run", id), func(context.Context) error {
		out, err := health()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	if _, err := os.Stat(filepath.Join(data, "ca", "issuing.crt")); err != nil {
		t.Errorf("the CA is not in the volume: %v", err)
	}
	if out, err := runc("exec", id, "/bin/sh", "-c", "true").CombinedOutput(); err == nil || !strings.Contains(string(out), "no such file") {
		t.Errorf("there is a shell: %v\n%s", err, out)
	}
	out, err := runc("exec", id, "/certportal", "--data", "/elsewhere", "ca", "init").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "read-only file system") {
		t.Errorf("the root can be written to: %v\n%s", err, out)
	}
}

// writeBundle writes what runc reads (OCI runtime specification 1.0): no capability, no device
// but those that runc makes, a root that cannot be written to, networks of its own without one.
func writeBundle(t *testing.T, bundle, data string, said imageConfig) {
	t.Helper()
	type object = map[string]any
	var namespaces []object
	for _, kind := range []string{"pid", "mount", "ipc", "uts", "network"} {
		namespaces = append(namespaces, object{"type": kind})
	}
	environ := append(said.Env, "CERTPORTAL_ORGANIZATION=Contoso", "CERTPORTAL_PUBLIC_URL=https://certificates.corp.example",
		"CERTPORTAL_PUBLIC_HTTP_URL=http://pki.corp.example")
	spec := object{
		"ociVersion": "1.0.2",
		"process": object{
			"user": object{"uid": 65532, "gid": 65532}, "cwd": "/", "args": append(said.Entrypoint, said.Cmd...), "env": environ,
			"capabilities": object{}, "noNewPrivileges": true, "rlimits": []object{{"type": "RLIMIT_CORE", "hard": 0, "soft": 0}},
		},
		"root": object{"path": "rootfs", "readonly": true},
		"mounts": []object{
			{"destination": "/proc", "type": "proc", "source": "proc"},
			{"destination": "/data", "type": "bind", "source": data, "options": []string{"bind", "rw", "nosuid", "nodev", "noexec"}},
		},
		"linux": object{"namespaces": namespaces},
	}
	testkit.NoError(t, os.WriteFile(filepath.Join(bundle, "config.json"), testkit.Must(json.Marshal(spec))(t), 0o644))
}
