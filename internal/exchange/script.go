package exchange

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"unicode"
)

//go:embed script.ps1
var source string

// Installation is what the script holds of one portal.
type Installation struct {
	Organization string
	Portal       string // https address

	// Authorities are the issuing CAs whose certificates are in use or will be, each with its issuers, the root last.
	Authorities []Authority
}

// Authority is an issuing CA.
type Authority struct {
	Certificate *x509.Certificate
	Chain       []*x509.Certificate
	Lists       []string // http addresses of the revocation lists of its certificates
}

// placed is a certificate and the container of Active Directory that it belongs into, as
// certutil -dspublish names it. All fields are literals of PowerShell.
type placed struct{ Place, Name, Thumbprint, Data string }

// Script makes the PowerShell script that sets up Exchange for the installation. It is
// UTF-8 with a byte order mark and CRLF, without which Windows PowerShell 5.1 takes it for
// the code page of the machine. Every value of the installation is a quoted literal.
func Script(i Installation) ([]byte, error) {
	if len(i.Authorities) == 0 {
		return nil, errors.New("there is no issuing CA to set up Exchange for")
	}
	parsed, err := template.New("script").Parse(source)
	if err != nil {
		return nil, fmt.Errorf("parsing the script: %w", err)
	}
	values := struct {
		Organization, Portal string
		Authorities          []placed
		Lists                []string
	}{Organization: inComment(i.Organization), Portal: Quote(i.Portal), Authorities: i.placed(), Lists: i.lists()}
	var text bytes.Buffer
	if err := parsed.Execute(&text, values); err != nil {
		return nil, fmt.Errorf("filling in the script: %w", err)
	}
	return append([]byte("\ufeff"), bytes.ReplaceAll(text.Bytes(), []byte("\n"), []byte("\r\n"))...), nil
}

// placed lists the certificates, roots first, each once.
func (i Installation) placed() []placed {
	var all []placed
	known := map[string]bool{}
	add := func(place string, cert *x509.Certificate) {
		hash := sha1.Sum(cert.Raw) // the name of the certificate in a Windows store, not a proof
		thumb := strings.ToUpper(hex.EncodeToString(hash[:]))
		if known[thumb] {
			return
		}
		known[thumb] = true
		all = append(all, placed{Quote(place), Quote(nameOf(cert)), Quote(thumb), Quote(base64.StdEncoding.EncodeToString(cert.Raw))})
	}
	for _, a := range i.Authorities {
		if n := len(a.Chain); n > 0 {
			add("RootCA", a.Chain[n-1])
		}
	}
	for _, a := range i.Authorities {
		for n := len(a.Chain) - 2; n >= 0; n-- {
			add("SubCA", a.Chain[n])
		}
		add("NTAuthCA", a.Certificate)
	}
	return all
}

func (i Installation) lists() []string {
	var all []string
	known := map[string]bool{}
	for _, a := range i.Authorities {
		for _, address := range a.Lists {
			// Windows fetches lists over http; what else is in a company's certificates is its own.
			if !known[address] && strings.HasPrefix(address, "http://") {
				known[address] = true
				all = append(all, Quote(address))
			}
		}
	}
	return all
}

func nameOf(cert *x509.Certificate) string {
	if cert.Subject.CommonName != "" {
		return cert.Subject.CommonName
	}
	return cert.Subject.String()
}

// Quote makes a literal of PowerShell in which nothing is expanded: between single
// quotes, of which PowerShell knows five, each doubled. Control and format characters, line
// ends among them, are left out.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range s {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			continue
		case r == '\'', r >= '\u2018' && r <= '\u201b':
			b.WriteRune(r)
		}
		b.WriteRune(r)
	}
	b.WriteByte('\'')
	return b.String()
}

// inComment leaves out what ends a comment of PowerShell.
func inComment(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '#' || r == '>' || r == '<' {
			return -1
		}
		return r
	}, s)
}
