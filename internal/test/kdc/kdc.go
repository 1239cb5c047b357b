// Package kdc starts a Kerberos KDC that accepts the portal's client certificates by
// PKINIT and checks the CRLs: MIT krb5, or Samba as a domain controller of Active
// Directory. Both map a certificate to an account by its UPN.
//
// [Start] runs MIT's programs (Debian: krb5-kdc, krb5-pkinit, krb5-admin-server,
// krb5-user) with a realm of the test's own on a free port of 127.0.0.1, [StartSamba] a
// controller of package samba. [KDC.Login] signs in with a file as delivered. Tests are
// skipped when a program is missing, and fail when the environment has CI=true.
package kdc

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"certportal/internal/test/daemon"
	"certportal/internal/test/samba"
	"certportal/internal/test/testkit"
)

// Config configures the realm and the clients' CAs.
type Config struct {
	Realm         string // the suffix of the UPNs, in the same case; Samba has its own
	Root, Issuing string // the CAs of the clients, PEM: the anchor, and all below it

	// Lists are the CRLs of all CAs in PEM: the KDC refuses a chain when one is missing.
	Lists []string
}

// KDC is a running KDC.
type KDC struct {
	t       testing.TB
	c       Config
	folder  string
	address string          // host and port
	process *daemon.Process // of MIT's
	samba   *samba.DC
}

// Answer is the result of one sign-in.
type Answer struct {
	Admitted bool
	Person   string // the principal of the ticket, when admitted
	Why      string // what client and KDC report about a refusal
}

// String formats the answer in one line.
func (a Answer) String() string {
	if a.Admitted {
		return "let in as " + a.Person
	}
	return "refused: " + a.Why
}

// plugin is the module for PKINIT, below the folder of the machine's libraries.
const plugin = "/usr/lib/*/krb5/plugins/preauth/pkinit.so"

// Start runs a KDC without people until the end of the test.
func Start(t testing.TB, c Config) *KDC {
	t.Helper()
	need(t, "krb5kdc", "kdb5_util", "kadmin.local", "kinit", "klist", "kdestroy")
	k := &KDC{t: t, c: c, folder: t.TempDir()}
	if err := k.furnish(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Stop)
	k.Restart()
	return k
}

// need requires programs of MIT's, and their module for PKINIT.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if daemon.Program(program) == "" {
			daemon.Need(t, "MIT Kerberos ("+program+") is not installed")
		}
	}
	if found, err := filepath.Glob(plugin); err != nil || len(found) == 0 {
		daemon.Need(t, "MIT Kerberos without PKINIT: "+plugin+" is not installed")
	}
}

func (k *KDC) file(name string) string { return filepath.Join(k.folder, name) }

// furnish writes configuration and database.
func (k *KDC) furnish() error {
	var err error
	if k.address, err = daemon.FreeAddress(); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	own, err := k.ownCertificate(key)
	if err != nil {
		return err
	}
	if err := k.write(map[string]string{"krb5.conf": k.clientConfig(own.CA), "kdc.conf": k.serverConfig(own)}); err != nil {
		return err
	}
	_, err = k.run("", "kdb5_util", "create", "-s", "-P", "master")
	return err
}

// ownCertificate makes the certificate of the KDC.
func (k *KDC) ownCertificate(key crypto.Signer) (daemon.Files, error) {
	authority, err := daemon.NewAuthority()
	if err != nil {
		return daemon.Files{}, err
	}
	certificate, err := template(k.c.Realm)
	if err != nil {
		return daemon.Files{}, err
	}
	return authority.IssueFor(k.folder, certificate, key)
}

// listFile is the name of the nth CRL in a file of its own, for Samba.
func listFile(n int) string { return fmt.Sprintf("list-%d.pem", n) }

// write writes the CAs, the CRLs and other files.
func (k *KDC) write(files map[string]string) error {
	files["root.pem"], files["issuing.pem"], files["lists.pem"] = k.c.Root, k.c.Issuing, strings.Join(k.c.Lists, "")
	for n, list := range k.c.Lists {
		files[listFile(n)] = list
	}
	for name, content := range files {
		if err := os.WriteFile(k.file(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// clientConfig is that of the client and of the library in the KDC.
func (k *KDC) clientConfig(kdcCA string) string {
	return fmt.Sprintf(`[libdefaults]
default_realm = %[1]s
dns_lookup_kdc = false
dns_lookup_realm = false
rdns = false
[realms]
%[1]s = {
kdc = %[2]s
pkinit_anchors = FILE:%[3]s
pkinit_anchors = FILE:%[4]s
pkinit_pool = FILE:%[5]s
pkinit_eku_checking = kpKDC
}
`, k.c.Realm, k.address, kdcCA, k.file("root.pem"), k.file("issuing.pem"))
}

func (k *KDC) serverConfig(own daemon.Files) string {
	return fmt.Sprintf(`[kdcdefaults]
kdc_listen = %[2]s
kdc_tcp_listen = %[2]s
[realms]
%[1]s = {
database_name = %[3]s
key_stash_file = %[4]s
pkinit_identity = FILE:%[5]s,%[6]s
pkinit_anchors = FILE:%[7]s
pkinit_pool = FILE:%[8]s
pkinit_revoke = FILE:%[9]s
pkinit_require_crl_checking = true
pkinit_allow_upn = true
pkinit_eku_checking = none
}
[logging]
kdc = FILE:%[10]s
`, k.c.Realm, k.address, k.file("principal"), k.file("stash"), own.Certificate, own.Key,
		k.file("root.pem"), k.file("issuing.pem"), k.file("lists.pem"), k.file("kdc.log"))
}

// run runs a program with the configuration of the realm.
func (k *KDC) run(input, program string, args ...string) (string, error) {
	cmd := exec.Command(daemon.Program(program), args...)
	cmd.Env, cmd.Stdin = k.environment(), strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("running %s: %w\n%s", program, err, out)
	}
	return string(out), nil
}

func (k *KDC) environment() []string {
	return append(slices.Clone(os.Environ()), "LC_ALL=C",
		"KRB5_CONFIG="+k.file("krb5.conf"), "KRB5_KDC_PROFILE="+k.file("kdc.conf"), "KRB5CCNAME=FILE:"+k.file("tickets"))
}

// Restart starts the KDC again: it reads the CRLs when it starts.
func (k *KDC) Restart() {
	k.t.Helper()
	k.Stop()
	if k.samba != nil {
		k.samba.Restart()
		return
	}
	cmd := exec.Command(daemon.Program("krb5kdc"), "-n")
	cmd.Env = k.environment()
	process, err := daemon.Run(k.t.Context(), cmd, func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", k.address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		k.t.Fatalf("%v\n%s", err, k.Log())
	}
	k.process = process
}

// Stop ends the KDC.
func (k *KDC) Stop() {
	if k.samba != nil {
		k.samba.Stop()
	}
	if k.process != nil {
		k.process.Stop()
		k.process = nil
	}
}

// Realm returns the realm, in which principals are.
func (k *KDC) Realm() string { return k.c.Realm }

// Folder returns the folder of the KDC's files.
func (k *KDC) Folder() string { return k.folder }

// Config returns the configuration of the KDC.
func (k *KDC) Config() string {
	k.t.Helper()
	return string(testkit.Must(os.ReadFile(k.file("kdc.conf")))(k.t))
}

// Log returns the log of the KDC.
func (k *KDC) Log() string {
	if k.samba != nil {
		return k.samba.Log()
	}
	text, err := os.ReadFile(k.file("kdc.log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Replace replaces the file with the CRLs. [KDC.Restart] makes the KDC read it.
func (k *KDC) Replace(lists ...string) {
	k.t.Helper()
	k.c.Lists = lists
	if err := k.write(map[string]string{}); err != nil {
		k.t.Fatal(err)
	}
}

// AddPerson adds a principal of the realm. MIT's has no password: it signs in by certificate
// or not at all.
func (k *KDC) AddPerson(login string) {
	k.t.Helper()
	if k.samba != nil {
		k.samba.AddUser(k.t, samba.User{Login: login})
		return
	}
	if _, err := k.run("", "kadmin.local", "-q", "addprinc -nokey +requires_preauth "+login); err != nil {
		k.t.Fatal(err)
	}
}

// Login signs in as a principal with a PKCS#12 file and its password.
func (k *KDC) Login(login string, file []byte, password string) Answer {
	k.t.Helper()
	identity := k.file("identity.p12")
	if err := os.WriteFile(identity, file, 0o600); err != nil {
		k.t.Fatal(err)
	}
	before := len(k.Log())
	if out, err := k.run(password+"\n", "kinit", "-X", "X509_user_identity=PKCS12:"+identity, login); err != nil {
		return Answer{Why: strings.TrimSpace(out) + "\n" + k.Log()[before:]}
	}
	out, err := k.run("", "klist")
	if err != nil {
		k.t.Fatal(err)
	}
	_, principal, _ := strings.Cut(out, "Default principal: ")
	principal, _, _ = strings.Cut(principal, "\n")
	if _, err := k.run("", "kdestroy"); err != nil {
		k.t.Fatal(err)
	}
	return Answer{Admitted: true, Person: principal}
}
