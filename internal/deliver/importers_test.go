package deliver_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"certportal/internal/deliver"
)

// The tests import files with the programs of other readers. Each must accept every
// format, key and name, show the name and the chain, and refuse a wrong password.

// files runs test for each format and name, with the path of a file. The kinds of key
// alternate, so that each is tested with both formats.
func files(t *testing.T, test func(t *testing.T, path, name string)) {
	t.Helper()
	names := []struct{ name, friendly string }{
		{"plain", "Ada's phone"},
		{"german", "Jürgens Gerät (groß)"},
		{"chinese", "艾达的手机"},
		{"emoji", "Ada 📱 phone"},
		{"40-characters", "The quick brown fox jumps over a lazy do"},
	}
	kinds := keyKinds()
	for i, format := range formats() {
		for j, n := range names {
			kind := kinds[(i+j)%len(kinds)]
			t.Run(string(format)+"/"+kind+"/"+n.name, func(t *testing.T) {
				test(t, written(t, bundle(t, kind, format, n.friendly)), n.friendly)
			})
		}
	}
}

// written writes the file of a Bundle and gives its path.
func written(t *testing.T, b deliver.Bundle) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "device.p12")
	if err := os.WriteFile(path, make12(t, b), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// program ends the test if a program is absent: it is skipped, on CI it fails.
func program(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
}

// run runs a program and returns its stdout and stderr.
func run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// mustRun is run for a program that must succeed.
func mustRun(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := run(t, name, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return out
}

func wantIn(t *testing.T, out string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(out, want) {
			t.Errorf("%q is absent from:\n%s", want, out)
		}
	}
}

func TestOpenSSLImports(t *testing.T) {
	program(t, "openssl")
	files(t, func(t *testing.T, path, name string) {
		args := []string{"pkcs12", "-info", "-nodes", "-in", path, "-passin"}
		out := mustRun(t, "openssl", append(args, "pass:"+password)...)
		// OpenSSL prints the low byte of each UTF-16 unit of a name.
		var shown bytes.Buffer
		for _, unit := range utf16.Encode([]rune(name)) {
			shown.WriteByte(byte(unit))
		}
		wantIn(t, out,
			"friendlyName: "+shown.String()+"\n",
			"CN = ada@example.com", "subject=CN = Test Issuing CA", "BEGIN PRIVATE KEY")
		if strings.Contains(out, "subject=CN = Test Root") {
			t.Error("the root is in the file")
		}
		if got := strings.Count(out, "Iteration 10000"); got != 3 {
			t.Errorf("%d derivations with 10000 iterations, want MAC, certificates and key", got)
		}
		if out, err := run(t, "openssl", append(args, "pass:wrong-password")...); err == nil {
			t.Errorf("wrong password is taken:\n%s", out)
		}
	})
}

func TestOpenSSLShowsAlgorithms(t *testing.T) {
	program(t, "openssl")
	tests := []struct {
		name   string
		format deliver.Format
		want   []string
	}{
		{"legacy", deliver.FormatLegacy, []string{
			"MAC: sha1, Iteration 10000",
			"Encrypted data: pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 10000",
			"Shrouded Keybag: pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 10000"}},
		{"modern", deliver.FormatModern, []string{
			"MAC: sha256, Iteration 10000",
			"Encrypted data: PBES2, PBKDF2, AES-256-CBC, Iteration 10000, PRF hmacWithSHA256",
			"Shrouded Keybag: PBES2, PBKDF2, AES-256-CBC, Iteration 10000, PRF hmacWithSHA256"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := written(t, bundle(t, "rsa", tt.format, "Ada's phone"))
			out := mustRun(t, "openssl", "pkcs12", "-info", "-noout", "-in", path, "-passin", "pass:"+password)
			wantIn(t, out, tt.want...)
		})
	}
}

// NSS is the library of Firefox and Thunderbird. The certificate in its database must
// have the name, although only the key has it in the file.
func TestNSSImports(t *testing.T) {
	program(t, "pk12util", "certutil")
	files(t, func(t *testing.T, path, name string) {
		db := "sql:" + t.TempDir()
		mustRun(t, "certutil", "-N", "-d", db, "--empty-password")
		if out, err := run(t, "pk12util", "-i", path, "-d", db, "-W", "wrong-password"); err == nil {
			t.Errorf("wrong password is taken:\n%s", out)
		}
		mustRun(t, "pk12util", "-i", path, "-d", db, "-W", password)
		wantIn(t, mustRun(t, "certutil", "-L", "-d", db), name+" ", "u,u,u", "Test Issuing CA")
		wantIn(t, mustRun(t, "certutil", "-K", "-d", db), name)
		wantIn(t, mustRun(t, "certutil", "-L", "-d", db, "-n", name), `"CN=ada@example.com"`)
	})
}

func TestGnuTLSImports(t *testing.T) {
	program(t, "certtool")
	files(t, func(t *testing.T, path, name string) {
		args := []string{"--p12-info", "--inder", "--infile", path, "--password"}
		out := mustRun(t, "certtool", append(args, password)...)
		wantIn(t, out, "Friendly name: "+name+"\n", "Iteration count: 10000", "Elements: 2")
		if strings.Contains(out, "verify_mac") {
			t.Errorf("the MAC is refused:\n%s", out)
		}
		if got := strings.Count(out, "BEGIN CERTIFICATE"); got != 2 {
			t.Errorf("%d certificates, want leaf and issuing CA", got)
		}
		out, err := run(t, "certtool", append(args, "wrong-password")...)
		if err == nil || !strings.Contains(out, "verify_mac") {
			t.Errorf("wrong password is taken:\n%s", out)
		}
	})
}

// Java imports into a second store, because listing alone decrypts no key.
func TestJavaImports(t *testing.T) {
	program(t, "keytool")
	files(t, func(t *testing.T, path, name string) {
		copied := filepath.Join(t.TempDir(), "copy.p12")
		args := []string{"-J-Dstdout.encoding=UTF-8", "-J-Dfile.encoding=UTF-8", "-importkeystore", "-noprompt",
			"-srcstoretype", "PKCS12", "-srckeystore", path,
			"-deststoretype", "PKCS12", "-destkeystore", copied, "-deststorepass", password, "-srcstorepass"}
		if out, err := run(t, "keytool", append(args, "wrong-password")...); err == nil {
			t.Errorf("wrong password is taken:\n%s", out)
		}
		mustRun(t, "keytool", append(args, password)...)
		out := mustRun(t, "keytool", "-J-Dstdout.encoding=UTF-8", "-J-Dfile.encoding=UTF-8",
			"-list", "-v", "-keystore", copied, "-storepass", password)
		// Java makes aliases lower case.
		wantIn(t, out, "Alias name: "+strings.ToLower(name)+"\n", "PrivateKeyEntry",
			"Certificate chain length: 2", "Owner: CN=ada@example.com", "Owner: CN=Test Issuing CA")
	})
}
