// Package softhsm makes tokens of SoftHSM for tests: a PKCS#11 module that keeps its keys in
// files of the test's folder.
//
// [New] initialises tokens with the installed programs (Debian: softhsm2). A [Token] can be
// taken away, put back and made full. [Faulty] is the same module behind one that fails or
// hangs on demand, compiled by cc. Tests are skipped when a program is missing, and fail when
// the environment has CI=true.
package softhsm

import (
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"certportal/internal/test/daemon"
)

// PIN is that of all tokens.
const PIN = "482915"

// HSM is a module with tokens in a folder of the test.
type HSM struct {
	Module  string
	PINFile string

	t      testing.TB
	tokens string // folder
}

// New makes tokens with these labels, and points the module of this process and of its
// children to them until the end of the test.
func New(t testing.TB, labels ...string) *HSM {
	t.Helper()
	if daemon.Program("softhsm2-util") == "" {
		daemon.Need(t, "SoftHSM (softhsm2-util) is not installed")
	}
	h := &HSM{Module: module(t), t: t}
	dir := t.TempDir()
	h.tokens, h.PINFile = filepath.Join(dir, "tokens"), filepath.Join(dir, "pin")
	if err := os.Mkdir(h.tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	h.SetPIN(PIN)
	config := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(config, []byte("directories.tokendir = "+h.tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", config)
	for _, label := range labels {
		h.run("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "officer-"+PIN, "--pin", PIN)
	}
	return h
}

// module finds the shared library, whose folder is named after the processor.
func module(t testing.TB) string {
	t.Helper()
	for _, pattern := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so"} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	daemon.Need(t, "SoftHSM's module libsofthsm2.so is not installed")
	return ""
}

func (h *HSM) run(program string, args ...string) string {
	h.t.Helper()
	out, err := exec.CommandContext(h.t.Context(), daemon.Program(program), args...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return string(out)
}

// SetPIN writes the file with the PIN.
func (h *HSM) SetPIN(pin string) {
	h.t.Helper()
	if err := os.WriteFile(h.PINFile, []byte(pin+"\n"), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// Remove takes the tokens away.
func (h *HSM) Remove() { h.rename(h.tokens, h.tokens+".away") }

// Restore puts them back.
func (h *HSM) Restore() { h.rename(h.tokens+".away", h.tokens) }

func (h *HSM) rename(from, to string) {
	h.t.Helper()
	if err := os.Rename(from, to); err != nil {
		h.t.Fatal(err)
	}
}

// Fill leaves no room in the tokens: every folder of theirs becomes a mount without space
// (Linux, as root), until the end of the test.
func (h *HSM) Fill() {
	h.t.Helper()
	folders, err := filepath.Glob(filepath.Join(h.tokens, "*"))
	if err != nil || len(folders) == 0 {
		h.t.Fatalf("no tokens to fill: %v", err)
	}
	for _, folder := range folders {
		if err := fill(h.t, folder); err != nil {
			daemon.Need(h.t, fmt.Sprintf("a full file system cannot be mounted: %v", err))
		}
	}
}

// Objects counts the files of keys in all tokens.
func (h *HSM) Objects() int {
	h.t.Helper()
	n := 0
	err := filepath.WalkDir(h.tokens, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".object" && filepath.Base(path) != "token.object" {
			n++
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// Show lists the objects of a token, with the program pkcs11-tool (Debian: opensc).
func (h *HSM) Show(label string) string {
	h.t.Helper()
	return h.tool("--token-label", label, "--list-objects")
}

func (h *HSM) tool(args ...string) string {
	h.t.Helper()
	if daemon.Program("pkcs11-tool") == "" {
		daemon.Need(h.t, "OpenSC (pkcs11-tool) is not installed")
	}
	return h.run("pkcs11-tool", append([]string{"--module", module(h.t), "--login", "--pin", PIN}, args...)...)
}

// AddTwin makes another key with the label and id of a key file's reference.
func (h *HSM) AddTwin(label string, reference []byte) {
	h.t.Helper()
	block, _ := pem.Decode(reference)
	if block == nil {
		h.t.Fatal("no reference")
	}
	h.tool("--token-label", label, "--keypairgen", "--key-type", "EC:prime256v1", "--label", block.Headers["Label"], "--id", block.Headers["Id"])
}
