package e2e

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
	"golang.org/x/crypto/ocsp"
)

// opinions are the programs that say what they think of a phone, with the files
// they need.
type opinions struct {
	t     *testing.T
	d     *demo
	a     trust
	dir   string
	lists string // of both CAs, PEM
}

func (d *demo) opinions(t *testing.T, a trust) opinions {
	t.Helper()
	o := opinions{t: t, d: d, a: a, dir: t.TempDir()}
	o.lists = filepath.Join(o.dir, "lists.pem")
	write(t, o.lists, d.lists(t, a))
	return o
}

// says runs a program that may fail, and gives what it printed.
func (o opinions) says(name string, args ...string) (text string, failed bool) {
	o.t.Helper()
	out, err := exec.CommandContext(o.t.Context(), name, args...).CombinedOutput()
	return string(out), err != nil
}

// wants holds what a program says against what is in it or must not be.
func (o opinions) wants(what, text string, good bool, whenGood, whenRevoked []string) {
	o.t.Helper()
	wanted, unwanted := whenGood, whenRevoked
	if !good {
		wanted, unwanted = whenRevoked, whenGood
	}
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			o.t.Errorf("%s does not say %q:\n%s", what, want, text)
		}
	}
	for _, not := range unwanted {
		if strings.Contains(text, not) {
			o.t.Errorf("%s says %q:\n%s", what, not, text)
		}
	}
}

// all asks every tool and server.
func (o opinions) all(p phone, good bool) {
	o.t.Helper()
	o.opensslByList(p, good)
	o.opensslOnline(p, good)
	o.gnutls(p, good)
	o.nss(p, good)
	o.zlint(p)
}

func (o opinions) opensslByList(p phone, good bool) {
	o.t.Helper()
	for name, issuer := range map[string]string{"root": o.a.root, "issuing": o.a.issuing} {
		file := filepath.Join(o.dir, name+".crl")
		write(o.t, file, fetch(o.t, o.d.http+"/crl/"+name+".crl"))
		out := command(o.t, "openssl", "crl", "-inform", "DER", "-in", file, "-verify", "-noout", "-CAfile", issuer)
		o.wants("openssl crl about "+name, out, true, []string{"verify OK"}, nil)
	}
	out, _ := o.says("openssl", "verify", "-x509_strict", "-check_ss_sig", "-purpose", "sslclient", "-crl_check_all",
		"-CRLfile", o.lists, "-CAfile", o.a.root, "-untrusted", o.a.issuing, p.file)
	o.wants("openssl verify", out, good, []string{": OK"}, []string{"certificate revoked", "error 23"})
}

// opensslOnline asks with and without a nonce, and with names hashed by SHA-256.
func (o opinions) opensslOnline(p phone, good bool) {
	o.t.Helper()
	for _, way := range [][]string{nil, {"-no_nonce"}, {"-sha256"}, {"-sha256", "-no_nonce"}} {
		args := append([]string{"ocsp", "-url", o.d.http + "/ocsp", "-CAfile", o.a.both, "-issuer", o.a.issuing}, way...)
		o.opensslJudges("openssl ocsp "+strings.Join(way, " "), append(args, "-cert", p.file), good)
	}
	// As a client asks that wants caches between: GET (RFC 6960 appendix A).
	request, answer := filepath.Join(o.dir, "request.der"), filepath.Join(o.dir, "answer.der")
	command(o.t, "openssl", "ocsp", "-issuer", o.a.issuing, "-cert", p.file, "-no_nonce", "-reqout", request)
	asked, err := os.ReadFile(request)
	if err != nil {
		o.t.Fatal(err)
	}
	path := url.PathEscape(base64.StdEncoding.EncodeToString(asked))
	write(o.t, answer, fetch(o.t, o.d.http+"/ocsp/"+path))
	o.opensslJudges("openssl ocsp about the answer to GET", []string{
		"ocsp", "-respin", answer, "-no_nonce", "-CAfile", o.a.both, "-issuer", o.a.issuing, "-cert", p.file,
	}, good)
}

func (o opinions) opensslJudges(what string, args []string, good bool) {
	o.t.Helper()
	out, failed := o.says("openssl", args...)
	if failed {
		o.t.Errorf("%s ended with an error", what)
	}
	o.wants(what, out, true, []string{"Response verify OK"}, []string{"WARNING"})
	o.wants(what, out, good, []string{".pem: good"}, []string{".pem: revoked", "Reason: keyCompromise"})
}

func (o opinions) gnutls(p phone, good bool) {
	o.t.Helper()
	list := filepath.Join(o.dir, "issuing.crl.pem")
	command(o.t, "openssl", "crl", "-inform", "DER", "-in", filepath.Join(o.dir, "issuing.crl"), "-out", list)
	out := command(o.t, "certtool", "--verify-crl", "--load-ca-certificate", o.a.issuing, "--infile", list)
	o.wants("certtool --verify-crl", out, true, []string{"Verification output: Verified."}, []string{"Not verified"})

	chain := filepath.Join(o.dir, "chain.pem")
	write(o.t, chain, pemOf(p.leaf, o.a.certs["issuing"]))
	out, _ = o.says("certtool", "--verify", "--load-ca-certificate", o.a.root, "--load-crl", o.lists, "--infile", chain)
	o.wants("certtool --verify", out, good, []string{"Chain verification output: Verified."}, []string{"The certificate chain is revoked"})

	out, _ = o.says("ocsptool", "--ask="+o.d.http+"/ocsp", "--nonce", "--load-cert", p.file, "--load-issuer", o.a.issuing, "--load-trust", o.a.both)
	o.wants("ocsptool", out, true, []string{"Verifying OCSP Response: Success", "Nonce:"}, nil)
	o.wants("ocsptool", out, good, []string{"Certificate Status: good"}, []string{"Certificate Status: revoked", "Revocation time"})
}

// nss takes the lists into its database, as administrators of NSS servers do, and
// is asked about the certificate.
func (o opinions) nss(p phone, good bool) {
	o.t.Helper()
	folder, err := os.MkdirTemp(o.dir, "nss")
	if err != nil {
		o.t.Fatal(err)
	}
	db := "sql:" + folder
	command(o.t, "certutil", "-N", "-d", db, "--empty-password")
	command(o.t, "certutil", "-A", "-d", db, "-n", "root", "-t", "CT,C,C", "-i", o.a.root)
	command(o.t, "certutil", "-A", "-d", db, "-n", "issuing", "-t", ",,", "-i", o.a.issuing)
	command(o.t, "certutil", "-A", "-d", db, "-n", "phone", "-t", ",,", "-i", p.file)
	for _, name := range []string{"root", "issuing"} {
		command(o.t, "crlutil", "-I", "-d", db, "-t", "1", "-i", filepath.Join(o.dir, name+".crl"))
	}
	out, _ := o.says("certutil", "-V", "-d", db, "-u", "C", "-e", "-n", "phone")
	o.wants("certutil -V", out, good, []string{"certificate is valid"}, []string{"has been revoked"})
}

// zlint finds nothing in the lists and in the answer. What it asks of public CAs
// alone is left out, and that no entry is after thisUpdate, which is backdated.
func (o opinions) zlint(p phone) {
	o.t.Helper()
	registry, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: lint.SourceList{
		lint.RFC5280, lint.RFC5480, lint.RFC8813, lint.RFC3279, lint.RFC5891, lint.RFC6960, lint.Community,
	}, ExcludeNames: []string{"e_crl_revocation_time_after_this_update"}})
	if err != nil {
		o.t.Fatal(err)
	}
	for _, name := range []string{"root", "issuing"} {
		list, err := zx509.ParseRevocationList([]byte(fetch(o.t, o.d.http+"/crl/"+name+".crl")))
		if err != nil {
			o.t.Fatal(err)
		}
		o.wantsNothing("list "+name, zlint.LintRevocationListEx(list, registry))
	}
	answer, err := ocsp.ParseResponseForCert(o.answer(p), p.leaf, o.a.certs["issuing"])
	if err != nil {
		o.t.Fatal(err)
	}
	o.wantsNothing("OCSP answer", zlint.LintOcspResponse(answer))
}

func (o opinions) wantsNothing(what string, found *zlint.ResultSet) {
	o.t.Helper()
	if len(found.Results) == 0 {
		o.t.Errorf("zlint has no lint for the %s", what)
	}
	for name, result := range found.Results {
		if result.Status > lint.Pass {
			o.t.Errorf("zlint about the %s: %s: %s %s", what, name, result.Status, result.Details)
		}
	}
}

// answer asks by GET, without a nonce.
func (o opinions) answer(p phone) []byte {
	o.t.Helper()
	request, err := ocsp.CreateRequest(p.leaf, o.a.certs["issuing"], nil)
	if err != nil {
		o.t.Fatal(err)
	}
	return bytes.Clone([]byte(fetch(o.t, o.d.http+"/ocsp/"+url.PathEscape(base64.StdEncoding.EncodeToString(request)))))
}
