package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"certportal/ca"
	"certportal/internal/test/testkit"
)

// claim is a certificate with its chain, and how verifiers must answer: "" to accept it,
// or the reason of the refusal.
type claim struct {
	what  string
	leaf  *x509.Certificate
	chain []*x509.Certificate
	want  string
}

// evidence are the files that a verifier reads.
type evidence struct {
	dir, root, lists string   // PEM
	each             []string // the lists in files of their own, DER
	claims           []claimFiles
}

// claimFiles are the files of one claim, PEM.
type claimFiles struct {
	leaf, between, whole string   // chain without and with the certificate
	chain                []string // each certificate of it
}

// verifiers verify certificates of clients, with the lists of all CAs. They answer with
// "accepted", or with what the program prints.
func verifiers() map[string]func(*testing.T, evidence) []string {
	return map[string]func(*testing.T, evidence) []string{"OpenSSL": verifyByOpenSSL, "GnuTLS": verifyByGnuTLS, "NSS": verifyByNSS, "Java": verifyByJava}
}

const accepted = "accepted"

// answer is that of a program which fails when it refuses.
func answer(out string, err error) string {
	if err == nil {
		return accepted
	}
	return out
}

func verifyByOpenSSL(t *testing.T, e evidence) []string {
	t.Helper()
	var answers []string
	for _, c := range e.claims {
		answers = append(answers, answer(tried(t, e.dir, "openssl", "verify", "-x509_strict", "-check_ss_sig", "-purpose", "sslclient",
			"-crl_check_all", "-CRLfile", e.lists, "-CAfile", e.root, "-untrusted", c.between, c.leaf)))
	}
	return answers
}

func verifyByGnuTLS(t *testing.T, e evidence) []string {
	t.Helper()
	var answers []string
	for _, c := range e.claims {
		answers = append(answers, answer(tried(t, e.dir, "certtool", "--verify", "--infile", c.whole,
			"--load-ca-certificate", e.root, "--load-crl", e.lists)))
	}
	return answers
}

func verifyByNSS(t *testing.T, e evidence) []string {
	t.Helper()
	db := "sql:" + t.TempDir()
	tool(t, e.dir, "certutil", "-N", "--empty-password", "-d", db)
	tool(t, e.dir, "certutil", "-A", "-n", "root", "-t", "CT,C,", "-i", e.root, "-d", db)
	for n, c := range e.claims {
		for m, file := range c.chain {
			tool(t, e.dir, "certutil", "-A", "-n", fmt.Sprint("between ", n, m), "-t", ",,", "-i", file, "-d", db)
		}
		tool(t, e.dir, "certutil", "-A", "-n", fmt.Sprint("leaf ", n), "-t", ",,", "-i", c.leaf, "-d", db)
	}
	for _, file := range e.each {
		tool(t, e.dir, "crlutil", "-I", "-i", file, "-d", db)
	}
	var answers []string
	for n := range e.claims {
		answers = append(answers, answer(tried(t, e.dir, "certutil", "-V", "-n", fmt.Sprint("leaf ", n), "-u", "C", "-e", "-d", db)))
	}
	return answers
}

func verifyByJava(t *testing.T, e evidence) []string {
	t.Helper()
	args := []string{"Verify.java", e.root, e.lists}
	for _, c := range e.claims {
		args = append(args, c.whole)
	}
	return strings.Split(strings.TrimSpace(tool(t, "testdata", "java", args...)), "\n")
}

// Reasons of refusals, and the words of each verifier for them.
const (
	revoked       = "revoked"
	unknownIssuer = "unknown issuer"
)

func wordsFor(reason, verifier string) string {
	if reason == unknownIssuer {
		return map[string]string{"OpenSSL": "unable to get local issuer", "GnuTLS": "issuer is unknown", "NSS": "issuer is not recognized", "Java": "trust anchor"}[verifier]
	}
	return reason
}

// wantVerdicts has claims verified against the root of a portal by OpenSSL, GnuTLS, NSS
// and Java.
func (u *underRoot) wantVerdicts(t *testing.T, claims ...claim) {
	t.Helper()
	lists := u.allLists(t)
	e := evidence{dir: t.TempDir()}
	write := func(name string, certs ...*x509.Certificate) string {
		return writeFile(t, e.dir, name, string(ca.PEM(certs...)))
	}
	e.root, e.lists = write("root", u.CA.Folder.Root()), writeFile(t, e.dir, "lists", strings.Join(lists, ""))
	for n, list := range lists {
		block, _ := pem.Decode([]byte(list))
		e.each = append(e.each, writeFile(t, e.dir, fmt.Sprint("list-", n), string(block.Bytes)))
	}
	for n, c := range claims {
		files := claimFiles{
			leaf: write(fmt.Sprint("leaf-", n), c.leaf), between: write(fmt.Sprint("between-", n), c.chain...),
			whole: write(fmt.Sprint("whole-", n), append([]*x509.Certificate{c.leaf}, c.chain...)...),
		}
		for m, cert := range c.chain {
			files.chain = append(files.chain, write(fmt.Sprint("chain-", n, m), cert))
		}
		e.claims = append(e.claims, files)
	}
	for name, verify := range verifiers() {
		answers := verify(t, e)
		if len(answers) != len(claims) {
			t.Fatalf("%s: %d answers, want %d: %q", name, len(answers), len(claims), answers)
		}
		for n, c := range claims {
			want := accepted
			if c.want != "" {
				want = wordsFor(c.want, name)
			}
			testkit.Contains(t, name+", "+c.what, answers[n], want)
		}
	}
}
