// Package cfssl runs CloudFlare's cfssl, a CA that is not the portal's and that keeps no
// extension of a request unless its policy says so.
package cfssl

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"certportal/internal/test/daemon"
)

// Version is that of the program, which is compiled once on a machine.
const Version = "v1.6.5"

// CA has a key and a policy of its own.
type CA struct {
	Root *x509.Certificate

	program, dir string
}

// Policy is how the CA signs.
type Policy struct {
	CopyExtensions bool // keep what the request asks for
}

// New makes a CA whose files are gone after the test.
func New(t testing.TB, p Policy) *CA {
	t.Helper()
	c := &CA{program: program(t), dir: t.TempDir()}
	if err := c.prepare(p); err != nil {
		t.Fatalf("making CA by cfssl: %v", err)
	}
	return c
}

func program(t testing.TB) string {
	t.Helper()
	folder, err := daemon.Cached("cfssl-"+Version, func(folder string) error {
		cmd := exec.Command("go", "install", "github.com/cloudflare/cfssl/cmd/cfssl@"+Version)
		cmd.Dir, cmd.Env = folder, append(os.Environ(), "GOBIN="+folder, "GOFLAGS=", "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("making cfssl: %w\n%s", err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, "cfssl")
}

func (c *CA) prepare(p Policy) error {
	policy := map[string]any{"signing": map[string]any{"default": map[string]any{
		"expiry": "8760h", "usages": []string{"digital signature", "key encipherment"}, "copy_extensions": p.CopyExtensions,
	}}}
	request := map[string]any{"CN": "cfssl Test CA", "key": map[string]any{"algo": "rsa", "size": 2048}}
	if err := errors.Join(c.writeJSON("policy.json", policy), c.writeJSON("ca.json", request)); err != nil {
		return err
	}
	made, err := c.run(nil, "gencert", "-initca", filepath.Join(c.dir, "ca.json"))
	if err != nil {
		return err
	}
	if c.Root, err = certificate(made["cert"]); err != nil {
		return err
	}
	return errors.Join(c.write("ca.pem", []byte(made["cert"])), c.write("ca.key", []byte(made["key"])))
}

// Sign has the CA sign a request (PKCS #10, DER).
func (c *CA) Sign(csr []byte) (*x509.Certificate, error) {
	answer, err := c.run(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}), "sign",
		"-ca", filepath.Join(c.dir, "ca.pem"), "-ca-key", filepath.Join(c.dir, "ca.key"), "-config", filepath.Join(c.dir, "policy.json"), "-")
	if err != nil {
		return nil, err
	}
	return certificate(answer["cert"])
}

// run gives the object that the program prints.
func (c *CA) run(in []byte, args ...string) (map[string]string, error) {
	var out, problems bytes.Buffer
	cmd := exec.Command(c.program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &problems
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("cfssl %s: %w\n%s", args[0], err, &problems)
	}
	answer := map[string]string{}
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		return nil, fmt.Errorf("reading answer of cfssl %s: %w", args[0], err)
	}
	return answer, nil
}

func (c *CA) writeJSON(name string, content any) error {
	data, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	return c.write(name, data)
}

func (c *CA) write(name string, data []byte) error {
	return os.WriteFile(filepath.Join(c.dir, name), data, 0o600)
}

func certificate(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("answer of cfssl has no certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}
